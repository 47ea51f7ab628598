package aio

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/internal/testkit/guest"
)

// docs/scaling.md has the figures of these, and what follows from them.

// scaledKinds are the Contexts that are compared.
var scaledKinds = []struct {
	name    string
	backend Backend
	mode    Mode
}{
	{"ppoll", Ppoll, ModeThread},
	{"epoll", Epoll, ModeThread},
	{"io_uring", IOUring, ModeThread},
	{"epoll_parked", Epoll, ModePark},
	{"io_uring_parked", IOUring, ModePark},
}

// BenchmarkRing hands work around a ring of Contexts, each on a goroutine of its own
// (in thread mode: on a thread), by bottom halves. An operation is one hop. With one
// token in the ring a hop is a wake-up; with several for each Context the loops are
// busy, and work for as many CPUs as there are.
func BenchmarkRing(b *testing.B) {
	for _, kind := range scaledKinds {
		for _, contexts := range []int{1, 2, 4, 8} {
			for _, tokens := range []int{1, 8 * contexts} {
				b.Run(fmt.Sprintf("%s/contexts=%d/tokens=%d", kind.name, contexts, tokens), func(b *testing.B) {
					r := newRing(b, contexts, kind.backend, kind.mode)
					b.ReportAllocs()
					b.ResetTimer()
					r.pass(tokens, int64(b.N))
				})
			}
		}
	}
}

// ring is a circle of running Contexts.
type ring struct {
	loops []*Context
	left  atomic.Int64 // hops
	group sync.WaitGroup
}

func newRing(b testing.TB, n int, backend Backend, mode Mode) *ring {
	r := &ring{loops: make([]*Context, n)}
	for i := range r.loops {
		r.loops[i] = openLoop(b, backend, WithMode(mode))
		start(b, r.loops[i])
	}
	for _, c := range r.loops {
		must(b, c.Do(context.Background(), func() error { return nil }))
	}
	return r
}

// pass makes so many hops with so many tokens.
func (r *ring) pass(tokens int, hops int64) {
	r.left.Store(hops)
	r.group.Add(tokens)
	for i := range tokens {
		r.token(i)
	}
	r.group.Wait()
}

// token puts a token into the ring. It is a bottom half for each Context, each of
// which schedules that of the next.
func (r *ring) token(at int) {
	stations := make([]*BottomHalf, len(r.loops))
	for i, c := range r.loops {
		stations[i] = c.NewBottomHalf(func() {
			if r.left.Add(-1) <= 0 {
				r.group.Done()
				return
			}
			_ = stations[(i+1)%len(stations)].Schedule()
		})
	}
	_ = stations[at%len(stations)].Schedule()
}

// Work is not lost between several loops, however many there are.
func TestRing(t *testing.T) {
	for _, kind := range scaledKinds {
		for _, contexts := range []int{1, 2, 2 * runtime.GOMAXPROCS(0), 8} {
			t.Run(fmt.Sprintf("%s/contexts=%d", kind.name, contexts), func(t *testing.T) {
				const hops, tokens = 2000, 5
				r := newRing(t, contexts, kind.backend, kind.mode)
				r.pass(tokens, hops)
				if left := r.left.Load(); left > 0 || left <= -tokens { // each token ends once
					t.Errorf("%d hops left", left)
				}
			})
		}
	}
}

// BenchmarkContexts wakes one of many sleeping Contexts after the other. What one costs
// does not depend on how many there are.
func BenchmarkContexts(b *testing.B) {
	for _, kind := range scaledKinds {
		for _, n := range []int{1, 10, 100, 1000} {
			if kind.mode == ModeThread && n > 100 {
				continue // a thread each
			}
			b.Run(fmt.Sprintf("%s/contexts=%d", kind.name, n), func(b *testing.B) {
				needDescriptors(b, 4*n+100)
				r := newRing(b, n, kind.backend, kind.mode)
				b.ResetTimer()
				for i := range b.N {
					if err := r.loops[i%n].Do(context.Background(), func() error { return nil }); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// footprint is the memory of heap and stacks in use.
func footprint() int64 {
	n := heap()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return n + int64(m.StackInuse)
}

// What a Context, and a descriptor, may take in addition to what the kernel keeps. Of the
// Context 6 KiB are the stacks of two goroutines, which differ with the Go version.
const (
	maxParkedContext = 10<<10 + 512
	maxDescriptor    = 256
)

func init() {
	for _, kind := range scaledKinds {
		children["memory of "+kind.name] = func() error { return measureMemory(kind.backend, kind.mode) }
	}
}

// In a process of its own, since what is free on its heap and its stacks would be
// used first.
func TestMemoryPerContextAndDescriptor(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has memory of its own")
	}
	if guest.Is() {
		t.Skip("measures what Go takes, which depends on no kernel")
	}
	for _, kind := range scaledKinds {
		t.Run(kind.name, func(t *testing.T) {
			needDescriptors(t, 5000)
			newLoopOn(t, kind.backend, WithMode(kind.mode)).Close() // or skip
			runInChild(t, "memory of "+kind.name)
		})
	}
}

func measureMemory(backend Backend, mode Mode) error {
	sys.OnOpened(nil)                              // package leak remembers a stack for each descriptor
	few, err := bytesPerContext(10, backend, mode) // the first of them has the pools filled
	if err != nil {
		return err
	}
	many := few
	if mode == ModePark {
		many, err = bytesPerContext(1000, backend, mode)
	}
	if err == nil && mode == ModePark && many > maxParkedContext {
		err = fmt.Errorf("%d bytes per parked Context", many)
	}
	perFD, e := bytesPerDescriptor(4000, backend, mode)
	if e == nil && perFD > maxDescriptor {
		e = fmt.Errorf("%d bytes per descriptor", perFD)
	}
	fmt.Printf("%d bytes per Context, %d per descriptor\n", many, perFD)
	return errors.Join(err, e)
}

func bytesPerContext(n int, backend Backend, mode Mode) (bytes int64, err error) {
	before := footprint()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, n)
	var loops []*Context
	defer func() {
		cancel()
		for range loops {
			if e := <-ended; !errors.Is(e, context.Canceled) {
				err = errors.Join(err, e)
			}
		}
	}()
	for range n {
		c, err := New(WithBackend(backend), WithMode(mode))
		if err != nil {
			return 0, err
		}
		loops = append(loops, c)
		go func() {
			err := c.Run(ctx)
			ended <- errors.Join(err, c.Close())
		}()
		if err := c.Do(ctx, func() error { return nil }); err != nil {
			return 0, err
		}
	}
	return (footprint() - before) / int64(n), nil
}

// bytesPerDescriptor has one Context watch many. They need no stacks, of which the runtime
// takes some now and then.
func bytesPerDescriptor(n int, backend Backend, mode Mode) (bytes int64, err error) {
	c, err := New(WithBackend(backend), WithMode(mode))
	if err != nil {
		return 0, err
	}
	notifiers := make([]EventNotifier, n)
	handlers := make([]*Handler, n)
	defer func() {
		for i := range handlers {
			if handlers[i] != nil {
				err = errors.Join(err, handlers[i].Close(), notifiers[i].Close())
			}
		}
		err = errors.Join(err, c.Close())
	}()
	before := heap()
	callback := func() {}
	for i := range handlers {
		fresh, err := NewEventNotifier()
		if err != nil {
			return 0, err
		}
		notifiers[i].fd = fresh.fd
		if handlers[i], err = c.Watch(fresh.fd, Callbacks{Read: ignoring(callback)}); err != nil {
			return 0, err
		}
	}
	if _, err := c.TryPoll(); err != nil {
		return 0, err
	}
	bytes = (heap() - before) / int64(n)
	runtime.KeepAlive(notifiers)
	return bytes, nil
}

// What notifiers write, and what only the home goroutine writes, lie in different
// cache lines; so does what no goroutine writes while the loop runs.
func TestNotifiersHaveCacheLinesOfTheirOwn(t *testing.T) {
	var c Context
	first := unsafe.Offsetof(c.gate)
	last := unsafe.Offsetof(c.halves.queue) + unsafe.Sizeof(c.halves.queue.top)
	const line = 64
	if before := unsafe.Offsetof(c.timers) + unsafe.Sizeof(c.timers); first < before+line {
		t.Errorf("the gate lies at %d, what is before it ends at %d", first, before)
	}
	if after := unsafe.Offsetof(c.halves.queue) + unsafe.Offsetof(c.halves.queue.taken); after < last+line {
		t.Errorf("what notifiers write ends at %d, what the loop writes begins at %d", last, after)
	}
}

// The allocator has a size class of 1,024 bytes; the next one wastes 128 bytes a Context.
func TestContextFitsItsSizeClass(t *testing.T) {
	if size := unsafe.Sizeof(Context{}); size > 1024 {
		t.Errorf("it is %d bytes", size)
	}
}

func TestABottomHalfIsACacheLine(t *testing.T) {
	if size := unsafe.Sizeof(BottomHalf{}); size != 64 && unsafe.Sizeof(size) == 8 {
		t.Errorf("it is %d bytes", size)
	}
}

// BenchmarkProducers has several goroutines schedule bottom halves of one loop, each
// its own, as fast as they can. What they write is what they share.
func BenchmarkProducers(b *testing.B) {
	for _, n := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("producers=%d", n), func(b *testing.B) {
			c := newLoopOn(b, Epoll, WithMode(ModeThread))
			start(b, c)
			var ready, group sync.WaitGroup
			halves := make([]*BottomHalf, n)
			for i := range halves {
				halves[i] = c.NewBottomHalf(func() {})
			}
			begin := make(chan struct{})
			ready.Add(n)
			for i := range n {
				group.Go(func() {
					ready.Done()
					<-begin
					for range b.N {
						_ = halves[i].Schedule()
					}
				})
			}
			ready.Wait()
			b.ResetTimer()
			close(begin)
			group.Wait()
		})
	}
}
