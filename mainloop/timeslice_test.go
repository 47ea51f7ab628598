package mainloop

import (
	"testing"
	"time"

	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/internal/testkit"
)

// What keeps Go's monitor thread awake is explained in package timeslice.
func TestMainContextDoesNotKeepTheMonitorThreadAwake(t *testing.T) {
	testkit.SleepsLess(t, func(renews bool) {
		m := openMain(t)
		if !renews {
			m.slice.Off()
		}
		dispatchEveryMillisecond(t, m, 200)
	})
}

func dispatchEveryMillisecond(t *testing.T, m *MainContext, times int) {
	var s *Source
	s = openSource(t, m, "periodic", Funcs{Dispatch: func() bool {
		times--
		must(t, s.SetReadyTime(sys.Monotonic()+time.Millisecond))
		return true
	}})
	must(t, s.SetReadyTime(sys.Monotonic()+time.Millisecond))
	for times > 0 {
		block(t, m)
	}
	s.Close()
}
