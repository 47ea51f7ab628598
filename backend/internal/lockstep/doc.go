// Package lockstep tests that the three Pollers agree with each other and with a
// model. It has no code of its own: it is apart because it alone knows all three.
package lockstep
