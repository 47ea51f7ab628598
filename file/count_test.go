//go:build linux

package file

import (
	"os"
	"testing"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/sys"
)

// At depth 16 an iteration makes one system call, whatever the number of requests: on the ring to
// submit and wait, on the others io_submit and the wait of the loop.
func TestSystemCallsOfAnIteration(t *testing.T) {
	for _, c := range []struct {
		v     variant
		calls map[sys.Call]int // an iteration
	}{
		{variant{aio.IOUring, aio.ModeThread, EngineIOUring, false}, map[sys.Call]int{sys.CallIoUringEnter: 1}},
		{variant{aio.IOUring, aio.ModeThread, EngineIOUring, true}, map[sys.Call]int{sys.CallIoUringEnter: 1}},
		{variant{aio.Epoll, aio.ModeThread, EngineLinuxAIO, true}, map[sys.Call]int{sys.CallIoSubmit: 1, sys.CallEpollPwait: 1, sys.CallEpollPwait2: 1}},
	} {
		t.Run(c.v.String(), func(t *testing.T) {
			s := newSetup(t, c.v)
			f := s.open(s.create(make([]byte, 1<<20)), os.O_RDONLY)
			counts := map[sys.Call]int{}
			defer sys.Inject(func(call sys.Call) (f sys.Fault) {
				counts[call]++
				return f
			})()
			const requests, depth = 1600, 16
			begun, under := 0, 0
			next := func(r *Request) {
				if begun < requests {
					begun++
					under++
					r.Offset = int64(begun%256) * 4096
					s.must(f.Read(r))
				}
			}
			before := s.loop.Stats().Iterations
			s.loop.Batch(func() {
				for range depth {
					next(&Request{Buf: f.Buffer(4096), Done: func(r *Request) {
						if under--; r.N != 4096 {
							t.Errorf("%d, %v", r.N, r.Err)
						}
						next(r)
					}})
				}
			})
			s.until(func() bool { return under == 0 })
			iterations := int(s.loop.Stats().Iterations - before)
			for call, most := range c.calls {
				if counts[call] > most*(iterations+2) {
					t.Errorf("%d calls of %s in %d iterations, want at most %d in each", counts[call], call, iterations, most)
				}
			}
			t.Logf("%d iterations: %v", iterations, counts)
		})
	}
}

// A request that its maker uses again allocates nothing.
func TestRequestsAllocateNothing(t *testing.T) {
	for _, v := range variants() {
		if v.mode != aio.ModeThread {
			continue
		}
		t.Run(v.String(), func(t *testing.T) {
			s := newSetup(t, v)
			f := s.open(s.create(make([]byte, 1<<16)), os.O_RDWR)
			done := false
			r := &Request{Buf: f.Buffer(4096), Done: func(*Request) { done = true }}
			vectors := &Request{Buffers: [][]byte{f.Buffer(4096), f.Buffer(4096)}, Done: r.Done}
			both := []*Request{r, vectors}
			step := func() {
				for _, q := range both {
					done = false
					s.must(f.Read(q))
					for !done {
						_, err := s.loop.Poll()
						s.must(err)
					}
				}
			}
			for range 100 {
				step()
			}
			if n := testing.AllocsPerRun(200, step); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}
