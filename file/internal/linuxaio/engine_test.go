//go:build linux

package linuxaio

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/sys"
)

// reads returns n reads of one to three blocks at random offsets.
func reads(t testing.TB, fd, n int) (all []*Request) {
	memory := aligned(t, n*3*block)
	for i := range n {
		length := (1 + rand.IntN(3)) * block
		all = append(all, &Request{
			Op: Read, FD: fd, Buffer: memory[i*3*block:][:length],
			Offset: int64(rand.IntN(blocks-3)) * block,
		})
	}
	return all
}

func checkReads(t testing.TB, all []*Request) {
	t.Helper()
	for _, r := range all {
		if r.Result != int64(len(r.Buffer)) {
			t.Fatalf("a read of %d bytes at %d: %d", len(r.Buffer), r.Offset, r.Result)
		}
		check(t, r.Buffer, r.Offset)
	}
}

func TestReads(t *testing.T) {
	eachWay(t, func(t *testing.T, newRig func(int) *rig) {
		for _, depth := range []int{1, 3, 128, 300} {
			r := newRig(depth)
			all := reads(t, patterns(t), min(300, 40*depth))
			r.finish(all...)
			checkReads(t, all)
			r.finish(all...) // again, with the same Requests
			checkReads(t, all)
			r.idle()
		}
	})
}

// There are never more than depth in the kernel, all of them if there are so many, and one call
// starts those of one iteration.
func TestDepthIsKept(t *testing.T) {
	r := epoll(t, 10)
	all := reads(t, patterns(t), 95)
	most, submits := 0, 0
	inject(t, func(c sys.Call) (f sys.Fault) {
		switch c {
		case sys.CallIoSubmit:
			submits++
		case sys.CallEpollPwait, sys.CallEpollPwait2: // of this loop, as nothing else runs
			most = max(most, r.engine.slots.used())
		}
		return f
	})
	r.finish(all...)
	checkReads(t, all)
	if most != 10 {
		t.Errorf("there were %d in the kernel, want 10", most)
	}
	if submits > 95 {
		t.Errorf("%d calls for 95 reads", submits)
	}
}

func TestOneSubmitPerIteration(t *testing.T) {
	eachWay(t, func(t *testing.T, newRig func(int) *rig) {
		r := newRig(128)
		all := reads(t, patterns(t), 100)
		submits := counts(t, sys.CallIoSubmit)
		done := 0
		for i, request := range all {
			request.Done = func(*Request) { done++ }
			must(t, r.loop.ScheduleOnce(func() { // a callback of its own
				must(t, r.engine.Submit(request))
				if *submits != 0 {
					t.Errorf("number %d is under way in the callback", i)
				}
			}))
		}
		r.until(func() bool { return done == len(all) })
		if *submits != 1 {
			t.Errorf("%d calls of io_submit", *submits)
		}
		checkReads(t, all)
	})
}

// Requests start in the order of Submit.
func TestOrderIsKept(t *testing.T) {
	r := epoll(t, 2)
	all := reads(t, patterns(t), 20)
	var order []*Request
	inject(t, func(c sys.Call) (f sys.Fault) {
		if c == sys.CallIoSubmit {
			for q := r.engine.waiting.first; q != nil && len(order) < 20; q = q.next {
				if !slices.Contains(order, q) {
					order = append(order, q)
				}
			}
		}
		return f
	})
	r.finish(all...)
	if !slices.Equal(order, all) {
		t.Error("they were not in order")
	}
}

func TestVectors(t *testing.T) {
	r := epoll(t, 8)
	memory := aligned(t, 8*block)
	iovecs := make([]unix.Iovec, 4)
	for i := range iovecs {
		iovecs[i].Base = &memory[2*i*block]
		iovecs[i].SetLen(block)
	}
	fd := patterns(t)
	four := &Request{Op: Read, FD: fd, Iovecs: iovecs, Offset: 7 * block}
	r.finish(four)
	if four.Result != 4*block || four.control.opcode != cmdPreadv {
		t.Fatalf("four buffers: %d, command %d", four.Result, four.control.opcode)
	}
	for i := range iovecs {
		check(t, memory[2*i*block:][:block], int64(7+i)*block)
	}
	one := &Request{Op: Read, FD: fd, Iovecs: iovecs[1:2], Offset: 9 * block}
	r.finish(one)
	if one.Result != block || one.control.opcode != cmdPread {
		t.Fatalf("one buffer: %d, command %d", one.Result, one.control.opcode)
	}
	check(t, memory[2*block:][:block], 9*block)
}

func TestWritesAndSyncs(t *testing.T) {
	eachWay(t, func(t *testing.T, newRig func(int) *rig) {
		path := filepath.Join(t.TempDir(), "written")
		fd := direct(t, path, unix.O_RDWR|unix.O_CREAT)
		must(t, unix.Ftruncate(fd, 40*block))
		r := newRig(16)
		memory := aligned(t, 40*block)
		fill(memory, 0)
		var all []*Request
		for i := range 38 {
			all = append(all, &Request{Op: Write, FD: fd, Buffer: memory[i*block:][:block], Offset: int64(i) * block})
		}
		iovecs := []unix.Iovec{{Base: &memory[38*block]}, {Base: &memory[39*block]}}
		iovecs[0].SetLen(block)
		iovecs[1].SetLen(block)
		vector := &Request{Op: Write, FD: fd, Iovecs: iovecs, Offset: 38 * block}
		r.finish(append(all, vector)...)
		for _, w := range append(all, vector) {
			if want := int64(block * max(1, len(w.Iovecs))); w.Result != want {
				t.Errorf("a write at %d: %d, want %d", w.Offset, w.Result, want)
			}
		}
		syncs := []*Request{{Op: Sync, FD: fd, Buffer: memory, Offset: 5, Flags: 7}, {Op: DataSync, FD: fd}}
		r.finish(syncs...)
		for _, s := range syncs {
			switch s.Result {
			case 0:
			case -int64(unix.EINVAL):
				t.Logf("%v: not before Linux 4.18", s)
			default:
				t.Errorf("%v: %d", s, s.Result)
			}
		}
		content, err := os.ReadFile(path)
		must(t, err)
		check(t, content, 0)
	})
}

func TestShortReadAtTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "short")
	must(t, os.WriteFile(path, make([]byte, block+512), 0o600))
	fd := direct(t, path, unix.O_RDONLY)
	r := epoll(t, 8)
	memory := aligned(t, 4*block)
	for offset, want := range map[int64]int64{0: block + 512, block: 512, 2 * block: 0, 100 * block: 0} {
		read := &Request{Op: Read, FD: fd, Buffer: memory[:2*block], Offset: offset}
		if r.finish(read); read.Result != want {
			t.Errorf("at %d: %d bytes, want %d", offset, read.Result, want)
		}
	}
}

// Flags are where the kernel looks for them.
func TestFlags(t *testing.T) {
	r := epoll(t, 8)
	all := reads(t, patterns(t), 2)
	all[0].Flags, all[1].Flags = 1<<30, unix.RWF_HIPRI
	r.finish(all...)
	if all[0].Result != -int64(unix.EOPNOTSUPP) {
		t.Errorf("an unknown flag: %d", all[0].Result)
	}
	checkReads(t, all[1:])
	if bad := unsafe.Offsetof(all[0].control.opcode); bad != 16 {
		t.Errorf("the command is at %d", bad)
	}
}

// Trap 52: the kernel stops at a request that it does not take; those behind it start all the same.
func TestTrap52_BadRequestsInTheMiddle(t *testing.T) {
	eachWay(t, func(t *testing.T, newRig func(int) *rig) {
		r := newRig(128)
		all := reads(t, patterns(t), 90)
		want := map[int]int64{}
		for _, i := range []int{0, 1, 20, 40, 41, 89} {
			all[i].FD, want[i] = 1<<20, -int64(unix.EBADF)
		}
		all[50].FD, want[50] = -1, -int64(unix.EBADF)
		all[60].Offset, want[60] = -block, -int64(unix.EINVAL)
		all[70].Buffer, want[70] = all[70].Buffer[1:], -int64(unix.EINVAL)
		if unsafe.Sizeof(0) == 8 { // half of the number is an open descriptor's
			big := math.MaxInt32
			all[80].FD, want[80] = all[79].FD+2*(big+1), -int64(unix.EBADF)
		}
		r.finish(all...)
		for i, request := range all {
			if bad, is := want[i]; is && request.Result != bad {
				t.Errorf("number %d: %d, want %d", i, request.Result, bad)
			} else if !is {
				checkReads(t, all[i:i+1])
			}
		}
		r.idle()
	})
}

// Trap 54: Done is not called by the call that submits, whatever the kernel says.
func TestTrap54_DoneIsNeverInsideSubmit(t *testing.T) {
	eachWay(t, func(t *testing.T, newRig func(int) *rig) {
		r := newRig(4)
		all := reads(t, patterns(t), 12)
		done := 0
		for i, request := range all {
			if i%3 == 1 {
				request.FD = -1
			}
			inside := true
			request.Done = func(*Request) {
				if done++; inside {
					t.Error("Done inside Submit")
				}
			}
			must(t, r.engine.Submit(request)) // not in a Poll: it starts now
			if i == 0 && r.engine.slots.used() != 1 {
				t.Error("it has not started")
			}
			if i%3 == 2 {
				r.engine.Cancel(request)
			}
			inside = false
		}
		r.until(func() bool { return done == len(all) })
		r.idle()
	})
}

// Trap 55: a Poll in a Done calls the others, each once.
func TestTrap55_PollInDone(t *testing.T) {
	eachWay(t, func(t *testing.T, newRig func(int) *rig) {
		r := newRig(128)
		all := reads(t, patterns(t), 50)
		calls, deepest, depth := 0, 0, 0
		for _, request := range all {
			request.Done = func(q *Request) {
				calls++
				if depth++; depth < 5 && calls < len(all) {
					before := calls
					for calls == before { // what has completed by now comes without an event
						_, err := r.loop.Poll()
						must(t, err)
					}
				}
				deepest = max(deepest, depth)
				depth--
			}
		}
		r.submit(all...)
		r.until(func() bool { return calls >= len(all) })
		if calls != len(all) || deepest < 2 {
			t.Errorf("%d calls, %d deep", calls, deepest)
		}
		checkReads(t, all)
		r.idle()
	})
}

// gathered makes n reads complete, and lets the Engine see them together.
func gathered(r *rig, all []*Request) {
	r.Helper()
	for _, request := range all {
		must(r, r.engine.Submit(request)) // before the first Poll: they start now
	}
	for n := 0; n < len(all); {
		time.Sleep(time.Millisecond)
		if n = int(*r.engine.kernel.ring.tail) - int(*r.engine.kernel.ring.head); n > len(all) {
			r.Fatal("more completions than requests")
		}
	}
}

// All that complete together are called back for in one iteration, or in the nested one that does
// not sleep.
func TestPollInDoneDoesNotSleep(t *testing.T) {
	r := epoll(t, 64)
	all := reads(t, patterns(t), 10)
	var order []int
	for i, request := range all {
		request.Done = func(*Request) {
			if order = append(order, i); len(order) == 3 {
				must(t, r.step()) // would sleep forever
				if len(order) != len(all) {
					t.Errorf("the inner Poll has called %d of %d", len(order), len(all))
				}
			}
		}
	}
	gathered(r, all)
	r.until(func() bool { return len(order) >= len(all) })
	r.idle()
	if len(order) != len(all) {
		t.Errorf("%d calls for %d requests", len(order), len(all))
	}
}

func TestPanicInDone(t *testing.T) {
	eachWay(t, func(t *testing.T, newRig func(int) *rig) {
		r := newRig(128)
		all := reads(t, patterns(t), 30)
		calls, panics := 0, 0
		for i, request := range all {
			request.Done = func(*Request) {
				if calls++; i%4 == 0 {
					panic("of the test")
				}
			}
		}
		r.submit(all...)
		for calls < len(all) {
			func() {
				defer func() {
					if recover() != nil {
						panics++
					}
				}()
				r.until(func() bool { return calls >= len(all) })
			}()
		}
		if calls != len(all) || panics < 7 {
			t.Errorf("%d calls, %d panics", calls, panics)
		}
		checkReads(t, all)
		r.idle()
	})
}

func TestPanicLeavesTheRestForTheNextIteration(t *testing.T) {
	r := epoll(t, 64)
	all := reads(t, patterns(t), 10)
	calls := 0
	for _, request := range all {
		request.Done = func(*Request) {
			if calls++; calls == 3 {
				panic("of the test")
			}
		}
	}
	gathered(r, all)
	func() {
		defer func() { _ = recover() }()
		must(t, r.step())
	}()
	if calls != 3 {
		t.Errorf("%d calls before the panic", calls)
	}
	if must(t, r.step()); calls != len(all) { // does not sleep
		t.Errorf("%d calls after it", calls)
	}
	r.idle()
}

// What Done submits and cancels completes in the next iteration, so that each one ends.
func TestIterationsEnd(t *testing.T) {
	r := epoll(t, 8)
	all := reads(t, patterns(t), 1)
	calls := 0
	all[0].Done = func(q *Request) {
		if calls++; calls < 5 {
			must(t, r.engine.Submit(q))
			r.engine.Cancel(q)
		}
	}
	r.submit(all...)
	r.until(func() bool { return calls > 0 })
	for want := 1; want < 5; want++ {
		if calls != want {
			t.Fatalf("%d calls, want %d", calls, want)
		}
		must(t, r.step())
	}
	r.idle()
}

func TestSubmitFromDone(t *testing.T) {
	eachWay(t, func(t *testing.T, newRig func(int) *rig) {
		r := newRig(16)
		all := reads(t, patterns(t), 20)
		rounds, ended := map[*Request]int{}, 0
		for _, request := range all {
			request.Done = func(q *Request) {
				checkReads(t, []*Request{q})
				if rounds[q]++; rounds[q] == 10 {
					ended++
					return
				}
				q.Offset = int64(rand.IntN(blocks-3)) * block
				must(t, r.engine.Submit(q))
			}
		}
		r.submit(all...)
		r.until(func() bool { return ended == len(all) })
		r.idle()
	})
}

func TestRunUntilDone(t *testing.T) {
	for _, mode := range []aio.Mode{aio.ModeThread, aio.ModePark} {
		r := newRig(t, 4, false, aio.WithBackend(aio.Epoll), aio.WithMode(mode))
		must(t, r.loop.RunUntilDone(t.Context())) // an Engine alone is no reason to go on
		all := reads(t, patterns(t), 30)
		done := 0
		for _, request := range all {
			request.Done = func(*Request) { done++ }
		}
		r.submit(all...)
		must(t, r.loop.RunUntilDone(t.Context()))
		if done != len(all) {
			t.Errorf("%v: it ended after %d of %d", mode, done, len(all))
		}
		r.idle()
	}
}

func TestSubmitRefuses(t *testing.T) {
	r := epoll(t, 4)
	all := reads(t, patterns(t), 3)
	done := 0
	for _, request := range all {
		request.Done = func(*Request) { done++ }
	}
	r.submit(all[0])
	must(t, r.step())
	if done == 0 {
		wantError(t, r.engine.Submit(all[0]), errUnderWay)
	}
	r.until(func() bool { return done == 1 })
	errs := make(chan error)
	go func() { errs <- r.engine.Submit(all[1]) }()
	wantError(t, <-errs, aio.ErrWrongGoroutine)
	all[1].Op = ops
	wantError(t, r.engine.Submit(all[1]), unix.EINVAL)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic without a Done")
			}
		}()
		_ = r.engine.Submit(&Request{})
	}()
	r.idle()
	if left := r.engine.Close(); len(left) > 0 || r.engine.Close() != nil {
		t.Errorf("Close: %q", left)
	}
	wantError(t, r.engine.Submit(all[2]), aio.ErrClosed)
}

// A closed loop refuses, and the Request is not under way.
func TestSubmitOnAClosedLoop(t *testing.T) {
	r := epoll(t, 4)
	all := reads(t, patterns(t), 1)
	all[0].Done = func(*Request) { t.Error("Done") }
	must(t, func() error { _, err := r.loop.TryPoll(); return err }())
	if err := r.loop.Close(); err == nil {
		t.Error("the Engine's handler is not named")
	}
	wantError(t, r.engine.Submit(all[0]), aio.ErrClosed)
	if all[0].state != idle || len(r.engine.Work()) > 0 {
		t.Error("it is under way")
	}
}

func TestWork(t *testing.T) {
	r := epoll(t, 2)
	all := reads(t, patterns(t), 5)
	all[3].Op = DataSync
	done := 0
	must(t, r.loop.ScheduleOnce(func() {
		for _, request := range all {
			request.Done = func(*Request) { done++ }
			must(t, r.engine.Submit(request))
		}
		if got := fmt.Sprint(r.engine.Work()); got != "[4 × read (Linux AIO) 1 × fdatasync (Linux AIO)]" {
			t.Error(got)
		}
	}))
	r.until(func() bool { return done == len(all) })
	r.idle()
}
