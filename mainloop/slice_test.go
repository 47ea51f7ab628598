package mainloop

import (
	"runtime"
	"testing"
	"time"

	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/internal/testkit"
)

// What keeps Go's monitor thread awake is explained in package timeslice.
func TestMainContextDoesNotKeepTheMonitorThreadAwake(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	switches := func(renews bool) int64 {
		m := openMain(t)
		if !renews {
			m.slice.Off()
		}
		return testkit.Switches(t, func() { dispatchEveryMillisecond(t, m, 200) })
	}
	eventually(t, "it sleeps less often", func() bool { return 3*switches(true) < 2*switches(false) })
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
