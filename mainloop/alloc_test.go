package mainloop

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

// A turn allocates nothing.
func TestAllocations(t *testing.T) {
	cases := map[string]func(t *testing.T, l *Loop) (step func()){
		"nothing": func(t *testing.T, l *Loop) func() { return func() { _, _ = l.TryWait() } },
		"bottom half": func(t *testing.T, l *Loop) func() {
			bh := l.AIO().NewBottomHalf(func() {})
			return func() { _ = bh.Schedule(); _, _ = l.TryWait() }
		},
		"wait": func(t *testing.T, l *Loop) func() {
			bh := l.AIO().NewBottomHalf(func() {})
			return func() { _ = bh.Schedule(); _, _ = l.Wait() }
		},
		"notify": func(t *testing.T, l *Loop) func() {
			return func() { l.NotifyEvent(); l.Context().Wakeup(); _, _ = l.Wait() }
		},
		"fd": func(t *testing.T, l *Loop) func() {
			fd := openEvent(t)
			h, err := l.SetFDHandler(fd, aio.Callbacks{Read: func(*aio.Handler) { clearEvent(fd) }})
			must(t, err)
			t.Cleanup(func() { _ = h.Close() })
			return func() { setEvent(t, fd); _, _ = l.Wait() }
		},
		"timer": func(t *testing.T, l *Loop) func() {
			timer := l.AIO().NewTimer(aio.Realtime, func() {})
			return func() { _ = timer.Set(0); _, _ = l.TryWait() }
		},
		"source": func(t *testing.T, l *Loop) func() {
			fd := openEvent(t)
			s := openSource(t, l.Context(), "mine", Funcs{Dispatch: func() bool { clearEvent(fd); return true }})
			_, err := s.AddFD(fd, unix.POLLIN)
			must(t, err)
			return func() { setEvent(t, fd); _, _ = l.Wait() }
		},
		"poller": func(t *testing.T, l *Loop) func() {
			fd := openEvent(t)
			l.AddPoller(Poller{Fill: func(fds []PollFD, timeout time.Duration) ([]PollFD, time.Duration) {
				for range 50 {
					fds = append(fds, PollFD{Fd: int32(fd), Events: unix.POLLIN})
				}
				return fds, timeout
			}})
			return func() { _, _ = l.TryWait() }
		},
	}
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		for name, prepare := range cases {
			t.Run(name, func(t *testing.T) {
				step := prepare(t, openLoop(t, b))
				for range 10 { // the slices find their sizes
					step()
				}
				if n := testing.AllocsPerRun(200, step); n != 0 {
					t.Errorf("%v allocations per turn", n)
				}
			})
		}
	})
}
