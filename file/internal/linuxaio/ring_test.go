//go:build linux

package linuxaio

import (
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/sys"
)

// fakeRing is what io_setup maps, with few events.
type fakeRing struct {
	ringHeader
	events [5]event
}

func newFakeRing() *fakeRing {
	return &fakeRing{ringHeader: ringHeader{nr: 5, magic: ringMagic, compat: 1, length: 32}}
}

func TestRingsOfOtherKindsAreNotRead(t *testing.T) {
	for what, change := range map[string]func(r *fakeRing){
		"as it is":           func(r *fakeRing) {},
		"another magic":      func(r *fakeRing) { r.magic++ },
		"incompatible":       func(r *fakeRing) { r.incompat = 1 },
		"a longer header":    func(r *fakeRing) { r.length = 64 },
		"without any events": func(r *fakeRing) { r.nr = 0 },
	} {
		f := newFakeRing()
		change(f)
		r, ok := viewRing(unsafe.Pointer(f))
		if want := what == "as it is"; ok != want || r.readable() != want {
			t.Errorf("%s: %v", what, ok)
		}
		if r.pending() {
			t.Errorf("%s: it has completions", what)
		}
	}
}

func TestRingGoesRound(t *testing.T) {
	f := newFakeRing()
	r, _ := viewRing(unsafe.Pointer(f))
	put, got := int64(0), int64(0)
	for round := range 40 {
		for range 1 + round%4 {
			f.events[f.tail] = event{data: uint64(put), res: put}
			f.tail = (f.tail + 1) % f.nr
			put++
		}
		if !r.pending() {
			t.Fatal("it says that there is nothing")
		}
		for r.pending() {
			room := make([]event, 1+round%3)
			n := r.take(room)
			for _, e := range room[:n] {
				if e.res != got {
					t.Fatalf("got %d, want %d", e.res, got)
				}
				got++
			}
		}
		if got != put || f.head != f.tail {
			t.Fatalf("%d of %d, head %d, tail %d", got, put, f.head, f.tail)
		}
	}
}

// The kernel's ring is read in user space.
func TestRingIsRead(t *testing.T) {
	r := epoll(t, 64)
	if !r.engine.kernel.ring.readable() {
		t.Skip("skipped: this kernel's ring is of another kind")
	}
	calls := counts(t, sys.CallIoGetevents)
	for range 10 { // the ring goes round
		all := reads(t, patterns(t), 100)
		r.finish(all...)
		checkReads(t, all)
	}
	if *calls > 0 {
		t.Errorf("%d calls of io_getevents", *calls)
	}
}

// Completions of no request are ignored: those of another kind, of a slot that is free,
// and of its earlier uses.
func TestUnknownCompletions(t *testing.T) {
	for _, asks := range []bool{false, true} {
		r := newRig(t, 4, asks, aio.WithBackend(aio.Epoll))
		e := r.engine
		all := reads(t, patterns(t), 20)
		r.finish(all...)
		fd := patterns(t)
		buffer := aligned(t, block)
		for _, data := range []uint64{
			0, 3, 4, 1 << 31, 1<<32 - 1, 1<<64 - 1, e.slots.next(0), all[0].control.data,
			uint64(uintptr(unsafe.Pointer(all[0]))), e.slots.next(0) + 1<<32,
		} {
			stranger := &Request{Op: Read, FD: fd, Buffer: buffer}
			stranger.prepare(data, e.notifier.FD())
			_, err := sys.IoSubmit(e.kernel.context, []unsafe.Pointer{unsafe.Pointer(&stranger.control)})
			must(t, err)
			r.finish(all...)
			checkReads(t, all)
		}
		r.idle()
	}
}

func TestSlots(t *testing.T) {
	s := newSlots(3)
	var a, b, c Request
	first := s.next(0)
	second := s.next(1)
	s.take(&a)
	if s.next(0) != second {
		t.Error("what next has promised is not kept")
	}
	s.take(&b)
	s.take(&c)
	if s.find(first) != &a || s.find(second) != &b || s.room() != 0 || s.used() != 3 {
		t.Error("they are not found")
	}
	s.free(&a)
	if s.find(first) != nil {
		t.Error("a second completion finds it")
	}
	s.take(&c)
	if s.find(first) != nil || s.find(first+1<<32) != &c {
		t.Error("the slot is another's by now")
	}
	if s.find(3) != nil || s.find(1<<32-1) != nil {
		t.Error("there is no such slot")
	}
}

// A loop that polls in user space finds completions without a sleep and without a system call,
// and the eventfd that tells of them once more does not keep it awake.
func TestPollingFindsCompletions(t *testing.T) {
	for _, b := range []aio.Backend{aio.Ppoll, aio.Epoll, aio.IOUring} {
		t.Run(b.String(), func(t *testing.T) {
			r := newRig(t, 8, false, aio.WithBackend(b), aio.WithMode(aio.ModeThread),
				aio.WithPolling(aio.Polling{Max: 50 * time.Millisecond}))
			all := reads(t, patterns(t), 1)
			for range 200 {
				r.finish(all...)
				checkReads(t, all)
			}
			if n := r.loop.Stats().PollReadies; n == 0 {
				t.Log("polling has found nothing: is there one CPU?")
			}
			r.idle()
		})
	}
}

// The eventfd comes after the completion is in the ring: what is found in between is not found
// twice, and what comes with the eventfd alone is not lost.
func TestEventfdWithoutCompletion(t *testing.T) {
	eachWay(t, func(t *testing.T, newRig func(int) *rig) {
		r := newRig(8)
		all := reads(t, patterns(t), 8)
		for range 20 {
			must(t, r.engine.notifier.Set())
			r.finish(all...)
			must(t, r.engine.notifier.Set())
		}
		checkReads(t, all)
		r.idle()
	})
}

// Trap 51: a buffered file works, in the call that submits; the documentation says so.
func TestTrap51_BufferedFile(t *testing.T) {
	fd, err := unix.Open(patternFile(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	r := epoll(t, 8)
	all := reads(t, fd, 20)
	r.finish(all...)
	checkReads(t, all)
	r.idle()
}
