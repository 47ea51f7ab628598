//go:build linux

package coroutine

import "fmt"

// owned is part of what belongs to one loop: that of the coroutine which has waited there first.
type owned struct{ s *scheduler }

// claim notes the loop of co, which is about to wait. It panics if there is another one.
func (o *owned) claim(co *Co, verb, what string) {
	if o.s == nil {
		o.s = co.s
	}
	if o.s != co.s {
		panic(fmt.Sprintf("coroutine: %s %s of another loop", co.Name(), verb+" "+what))
	}
}

// check panics unless the caller is at home, or there is no coroutine that call could wake. After
// Close there is none.
func (o *owned) check(call string) {
	if o.s != nil && !o.s.mine() && !o.s.closing {
		panic(fmt.Sprintf("coroutine: %s on a goroutine that is not the home goroutine of its loop", call))
	}
}
