package bench

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// computing is how many goroutines keep the CPUs busy.
const computing = 2

const busyNote = "nice: the threads of the loops have the nice value -20 (WithThread); beside two goroutines that never stop computing; nothing is pinned; CPU time is not shown, because they use all of it"

func busyGroups() []group {
	var groups []group
	for _, procs := range []int{2, 4} {
		g := group{scenario: "busy", label: fmt.Sprintf("gomaxprocs=%d", procs), took: 1500 * time.Millisecond}
		g.full = procs == 2 // a round trip may take many milliseconds
		for _, row := range goRows() {
			c := testCase{row: row, params: []param{{"gomaxprocs", fmt.Sprint(procs)}}, crowded: true, notes: []string{busyNote}}
			c.setup = func(s *site) (runFunc, error) { return busySetup(s, row, procs) }
			g.cases = append(g.cases, c)
		}
		groups = append(groups, g)
	}
	return groups
}

func busySetup(s *site, row string, procs int) (runFunc, error) {
	before := runtime.GOMAXPROCS(procs)
	s.atExit(func() error { runtime.GOMAXPROCS(before); return nil })
	var over atomic.Bool
	var computers sync.WaitGroup
	for range computing {
		computers.Go(func() { compute(&over) })
	}
	s.atExit(func() error { over.Store(true); computers.Wait(); return nil })
	return pingpongSetup(s, row, anywhere)
}

// compute does not stop by itself, and calls nothing that would give the CPU away.
func compute(over *atomic.Bool) {
	for x := uint64(1); !over.Load(); {
		for range 1000 {
			x = x*6364136223846793005 + 1442695040888963407
		}
		if x == 0 { // never: keeps the compiler from dropping the loop
			panic("impossible")
		}
	}
}
