// Package calltrace records which functions are called, by which, in which order.
// It exists only in the program that TestMainLoopDiagrams builds: that test puts a
// call of Enter at the beginning of each function of the packages that it traces.
package calltrace

import (
	"encoding/json"
	"io"
	"sync"

	"github.com/aioloop/aioloop/internal/goroutine"
)

// Call is one call and those that it made.
type Call struct {
	Name  string
	Calls []*Call
}

var (
	mu      sync.Mutex
	roots   = map[string][]*Call{} // by the name of the drawing
	current = map[goroutine.ID]*Call{}
)

// Record calls f and keeps what it calls, on this goroutine, under a name.
func Record(name string, f func()) {
	me, root := goroutine.Current(), new(Call)
	set(me, root)
	defer set(me, nil)
	f()
	mu.Lock()
	defer mu.Unlock()
	roots[name] = append(roots[name], root.Calls...)
}

func set(g goroutine.ID, c *Call) {
	mu.Lock()
	defer mu.Unlock()
	current[g] = c
}

// Enter is called at the beginning of a function, and what it returns at the end.
func Enter(name string) func() {
	me := goroutine.Current()
	mu.Lock()
	defer mu.Unlock()
	caller := current[me]
	if caller == nil { // no one asked
		return func() {}
	}
	c := &Call{Name: name}
	caller.Calls = append(caller.Calls, c)
	current[me] = c
	return func() { set(me, caller) }
}

// Write writes what was recorded as JSON.
func Write(w io.Writer) error {
	mu.Lock()
	defer mu.Unlock()
	return json.NewEncoder(w).Encode(roots)
}
