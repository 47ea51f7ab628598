//go:build race

package mainloop

const raceEnabled = true
