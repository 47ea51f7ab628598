//go:build linux

package linuxaio

import (
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"testing"
	"unsafe"
	"weak"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/goroutine"
	"github.com/aioloop/aioloop/internal/testkit"
)

// heap returns n bytes of Go's heap that begin at the start of a block.
func heap(n int) []byte {
	b := make([]byte, n+block)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (block - 1)
	return b[skip:][:n:n]
}

// forgotten submits a read of which the caller keeps nothing.
func (r *rig) forgotten(fd, vector int, done func()) {
	offset := int64(rand.IntN(blocks-3)) * block
	q := &Request{Op: Read, FD: fd, Offset: offset}
	if vector == 0 {
		q.Buffer = heap(2 * block)
	} else {
		q.Iovecs = make([]unix.Iovec, 3)
		for i := range q.Iovecs {
			q.Iovecs[i].Base = unsafe.SliceData(heap(block))
			q.Iovecs[i].SetLen(block)
		}
	}
	q.Done = func(q *Request) {
		if q.Result != int64(max(2*block, len(q.Iovecs)*block)) {
			r.Errorf("a read ends with %d", q.Result)
		}
		if vector == 0 {
			check(r, q.Buffer, q.Offset)
		}
		for i := range q.Iovecs {
			check(r, unsafe.Slice(q.Iovecs[i].Base, block), q.Offset+int64(i)*block)
		}
		done()
	}
	must(r, r.engine.Submit(q))
}

// Trap 30: what the kernel uses stays where it is, although the caller has forgotten it.
func TestTrap30_ForgottenRequestsAreKept(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	eachWay(t, func(t *testing.T, newRig func(int) *rig) {
		r := newRig(16)
		fd := patterns(t)
		done := 0
		for round := 1; round <= 4; round++ {
			must(t, r.loop.ScheduleOnce(func() {
				for i := range 25 {
					r.forgotten(fd, i%2, func() { done++ })
				}
			}))
			r.until(func() bool {
				for range 20 { // over what is free by now
					garbage := heap(3 * block)
					for i := range garbage {
						garbage[i] = 0xA5
					}
				}
				runtime.GC()
				return done == round*25
			})
		}
		r.idle()
	})
}

// What has completed is forgotten.
func TestCompletedRequestsAreNotKept(t *testing.T) {
	r := epoll(t, 16)
	fd := patterns(t)
	completed := func() weak.Pointer[Request] {
		q := &Request{Op: Read, FD: fd, Buffer: heap(block)}
		r.finish(q)
		return weak.Make(q)
	}()
	testkit.Eventually(t, "it is freed", func() bool {
		runtime.GC()
		return completed.Value() == nil
	})
}

func TestNothingIsAllocated(t *testing.T) {
	if testing.AllocsPerRun(1, func() { goroutine.Current() }) > 0 {
		t.Skip("skipped: on this CPU it takes memory to ask which goroutine it is")
	}
	eachWay(t, func(t *testing.T, newRig func(int) *rig) {
		r := newRig(8)
		fd := patterns(t)
		all := reads(t, fd, 20)
		all[3].FD = -1
		iovecs := make([]unix.Iovec, 2)
		memory := aligned(t, 2*block)
		for i := range iovecs {
			iovecs[i].Base = &memory[i*block]
			iovecs[i].SetLen(block)
		}
		all = append(all, &Request{Op: Read, FD: fd, Iovecs: iovecs})
		left := 0
		for _, q := range all {
			q.Done = func(*Request) { left-- }
		}
		submit := r.loop.NewBottomHalf(func() {
			for _, q := range all {
				must(t, r.engine.Submit(q))
			}
			r.engine.Cancel(all[len(all)-2])
		})
		round := func() {
			left = len(all)
			must(t, submit.Schedule())
			for left > 0 {
				must(t, r.step())
			}
		}
		for range 5 {
			round()
		}
		if n := testing.AllocsPerRun(10, round); n != 0 {
			t.Errorf("%v allocations for %d requests", n, len(all))
		}
	})
}
