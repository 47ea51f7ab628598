package backendtest

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

// The traps that need a second thread.
var threadChecks = []check{
	{name: "trap02_idle_under_thread_churn", run: idleUnderThreadChurn},
	{name: "trap03_opened_here_waited_for_there", run: openedHereWaitedForThere, bare: true},
	{name: "trap05_doorbell_after_a_flood", run: doorbellAfterAFlood},
	{name: "trap13_no_wakeup_is_lost", run: noWakeupIsLost},
	{name: "trap14_changes_during_a_wait", run: changesDuringAWait},
	{name: "trap14_removed_during_a_wait", run: removedDuringAWait},
	{name: "trap19_signals_do_not_lengthen_a_wait", run: signalsDoNotLengthen},
	{name: "changes_from_many_goroutines", run: changesFromManyGoroutines},
	{name: "bind_belongs_to_one_thread", run: bindBelongsToOneThread},
	{name: "stays_and_leaves", run: staysAndLeaves},
}

// idleUnderThreadChurn registers descriptors from threads that end, and waits
// while other threads come and go. Nothing may be reported, then everything.
func idleUnderThreadChurn(h *home) {
	length := 10 * time.Second
	if h.brief {
		length = 300 * time.Millisecond
	}
	var sources []*descriptor
	for i := range 16 {
		sources = append(sources, h.eventfd(0))
		events := backend.In | backend.Edge*backend.Events(i%2)
		h.elsewhere(func() { h.add(sources[i].fd, events, backend.Tag(i)) })
	}
	operation := h.idleRead()
	stop := churn()
	defer stop()
	for start := time.Now(); time.Since(start) < length; {
		if got := h.wait(length / 20); len(got) != 0 {
			h.Fatalf("idle descriptors were reported: %v", got)
		}
	}
	operation.ends()
	for _, s := range sources {
		h.elsewhere(s.signal)
	}
	h.collectAll("all", len(sources), func(backend.Tag) bool { return true })
}

// churn starts threads and lets them end, a few thousand in a second, until stop.
func churn() (stop func()) {
	var stopped atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stopped.Load() {
			var batch [8]<-chan struct{}
			for i := range batch {
				batch[i] = inThread(runtime.Gosched)
			}
			for _, b := range batch {
				<-b
			}
			time.Sleep(time.Millisecond) // leave the other tests some of the machine
		}
	}()
	return func() {
		stopped.Store(true)
		<-done
	}
}

func openedHereWaitedForThere(h *home) {
	e := h.eventfd(0)
	var p backend.Poller
	h.elsewhere(func() { p = h.opened() })
	defer p.Close()
	h.elsewhere(func() { h.must("Add", p.Add(e.fd, backend.In, 1)) })
	h.p = p
	h.bind(p)
	h.quiet()
	e.signal()
	h.expect(1)
	h.must("Remove", p.Remove(e.fd))
	h.never(1)
}

// doorbellAfterAFlood: a doorbell is an edge-triggered eventfd that is never read,
// as a loop uses it to be woken up. While no goroutine waits it is rung, and other
// descriptors become ready, more often than any queue has room for. Afterwards it
// must still work, within 10 ms if the machine has nothing better to do: once in
// 20 rounds is proof that no timeout was needed.
func doorbellAfterAFlood(h *home) {
	const doorbell = 1000
	bell := h.eventfd(0)
	h.add(bell.fd, backend.In|backend.Edge, doorbell)
	var flood []*descriptor
	for i := range 100 {
		flood = append(flood, h.eventfd(0))
		h.add(flood[i].fd, backend.In|backend.Edge*backend.Events(i%2), backend.Tag(i))
	}
	best := time.Hour
	for range 20 {
		h.wait(0)
		for i := range 2000 {
			flood[i%len(flood)].signal()
			bell.signal()
		}
		h.untilSilent(append(flood, bell))
		rung := make(chan time.Time, 1)
		inThread(func() { rung <- time.Now(); bell.signal() })
		h.expect(doorbell)
		best = min(best, time.Since(<-rung))
		h.untilSilent([]*descriptor{bell})
	}
	if best > 10*time.Millisecond {
		h.Errorf("the doorbell was heard after %v at best", best)
	}
}

// untilSilent reads the sources and waits until nothing is reported any more.
func (h *home) untilSilent(sources []*descriptor) {
	h.Helper()
	for start, silent := time.Now(), 0; silent < 3; h.deadline(start, "silence") {
		for _, s := range sources {
			_, _ = s.tryRead(8)
		}
		silent++
		if len(h.wait(0)) > 0 {
			silent = 0
		}
	}
}

// noWakeupIsLost plays ping-pong without any timeout, with delays that are random
// because two threads are.
func noWakeupIsLost(h *home) {
	for _, edge := range []backend.Events{0, backend.Edge} {
		ping := h.eventfd(0)
		h.add(ping.fd, backend.In|edge, 1)
		var acknowledged atomic.Int64
		rounds := h.rounds(1000)
		done := inThread(func() {
			for i := range int64(rounds) {
				for acknowledged.Load() < i {
					runtime.Gosched()
				}
				for range i * 7919 % 400 { // up to a few hundred nanoseconds
					acknowledged.Load()
				}
				ping.signal()
			}
		})
		for range rounds {
			h.expect(1)
			ping.drain()
			acknowledged.Add(1)
		}
		<-done
		h.remove(ping.fd)
	}
}

// changesDuringAWait: Add, Modify and Remove come back although Wait sleeps, and
// hold once it has been woken up.
func changesDuringAWait(h *home) {
	const wake = 100
	bell, source := h.eventfd(0), h.eventfd(1)
	h.add(bell.fd, backend.In, wake)
	h.quiet()
	for i := range 8 {
		for _, step := range []struct {
			change func() error
			want   backend.Tag // 0: none
		}{
			{func() error { return h.p.Add(source.fd, 0, 1) }, 0},
			{func() error { return h.p.Modify(source.fd, backend.In, 2) }, 2},
			{func() error { return h.p.Modify(source.fd, backend.Out, 3) }, 3},
			{func() error { return h.p.Modify(source.fd, backend.Pri, 4) }, 0},
			{func() error { return h.p.Remove(source.fd) }, 0},
			{func() error { return h.p.Add(source.fd, backend.In, 5) }, 5},
			{func() error { return h.p.Remove(source.fd) }, 0},
		} {
			if h.duringAWait(i%2 == 0, step.change, bell, wake); step.want == 0 {
				h.quiet()
			} else {
				h.expect(step.want)
				h.modify(source.fd, 0, 6) // or the next Wait does not sleep
			}
		}
	}
}

// duringAWait makes the change while the home goroutine is, most probably or if
// asleep certainly enough, in an infinite Wait, and wakes it up.
func (h *home) duringAWait(asleep bool, change func() error, bell *descriptor, wake backend.Tag) {
	h.Helper()
	done := inThread(func() {
		if asleep {
			time.Sleep(time.Millisecond)
		}
		if err := change(); err != nil {
			h.Errorf("change: %v", err)
		}
		bell.signal()
	})
	for woken := false; !woken; {
		for _, r := range h.wait(backend.Forever) {
			woken = woken || r.Tag == wake
		}
	}
	<-done
	bell.drain()
	h.wait(0)
}

// removedDuringAWait: what happens to a source after its removal or change is not
// reported, though the Wait that is under way began before.
func removedDuringAWait(h *home) {
	const wake = 100
	bell := h.eventfd(0)
	h.add(bell.fd, backend.In, wake)
	for i := range 20 {
		source := h.eventfd(0)
		h.add(source.fd, backend.In, 1)
		h.wait(0)
		done := inThread(func() {
			if i%4 > 1 {
				time.Sleep(time.Millisecond) // now the Wait sleeps, most probably
			}
			change := func() error { return h.p.Remove(source.fd) }
			if i%2 == 1 {
				change = func() error { return h.p.Modify(source.fd, 0, 2) }
			}
			if err := change(); err != nil {
				h.Errorf("change: %v", err)
			}
			source.signal()
			bell.signal()
		})
		for woken := false; !woken; {
			for _, r := range h.wait(backend.Forever) {
				woken = woken || r.Tag == wake
				if r.Tag != wake {
					h.Fatalf("round %d: event %v of tag %d", i, r.Events, r.Tag)
				}
			}
		}
		<-done
		bell.drain()
		if i%2 == 1 {
			h.remove(source.fd)
		}
		source.close()
	}
}

// signalsDoNotLengthen sends a thousand signals in a second to the home thread,
// as Go's scheduler does. A Wait of 10 ms that began again with each would never
// end. The bound of the trap is 12 ms; one of 50 Waits has to keep it, because a
// machine with other work lets any single one of them wait longer for a CPU.
func signalsDoNotLengthen(h *home) {
	const timeout, bound = 10 * time.Millisecond, 12 * time.Millisecond
	h.add(h.eventfd(0).fd, backend.In, 1)
	h.wait(0)
	signals, stop := signalThisThread()
	defer stop()
	best := time.Hour
	for i := 0; i < 50 && (best > bound || i < 5); i++ {
		before := signals.Load()
		start := time.Now()
		h.wait(timeout)
		took := time.Since(start)
		if took < timeout {
			h.Errorf("a Wait of %v was over after %v", timeout, took)
		}
		if signals.Load()-before >= 3 { // else it proves nothing
			best = min(best, took)
		}
	}
	if best > bound {
		h.Errorf("under signals a Wait of %v took %v at best", timeout, best)
	}
}

func signalThisThread() (count *atomic.Int64, stop func()) {
	count = new(atomic.Int64)
	var stopped atomic.Bool
	pid, tid := os.Getpid(), unix.Gettid()
	done := inThread(func() {
		millisecond := unix.NsecToTimespec(int64(time.Millisecond))
		for !stopped.Load() {
			_ = unix.Nanosleep(&millisecond, nil)
			_ = unix.Tgkill(pid, tid, unix.SIGURG)
			count.Add(1)
		}
	})
	return count, func() {
		stopped.Store(true)
		<-done
	}
}

// changesFromManyGoroutines gives the race detector something to look at, and
// the Poller many slots to mix up.
func changesFromManyGoroutines(h *home) {
	const workers, rounds = 8, 100
	bell := h.eventfd(0)
	h.add(bell.fd, backend.In, 1)
	var working atomic.Int32
	var all sync.WaitGroup
	for w := range workers {
		source := h.eventfd(uint(w % 2))
		working.Add(1)
		all.Go(func() {
			defer working.Add(-1)
			h.addAndRemove(source, rounds, backend.MakeTag(uint32(w), 2), bell)
		})
	}
	for start := time.Now(); working.Load() > 0; h.deadline(start, "the workers") {
		for _, r := range h.wait(nap) {
			if r.Tag != 1 && r.Tag.Index()%2 == 0 {
				h.Errorf("tag %d is idle and was reported", r.Tag)
			}
		}
		_, _ = bell.tryRead(8)
	}
	all.Wait()
	_, _ = bell.tryRead(8)
	h.quiet()
}

func (h *home) addAndRemove(source *descriptor, rounds int, tag backend.Tag, bell *descriptor) {
	for i := range rounds {
		err := h.p.Add(source.fd, backend.In|backend.Edge*backend.Events(i%3/2), tag)
		if err == nil {
			err = h.p.Modify(source.fd, backend.In, tag)
		}
		if err == nil {
			err = h.p.Remove(source.fd)
		}
		if err != nil {
			h.Errorf("round %d: %v", i, err)
			return
		}
		bell.signal()
	}
}

func bindBelongsToOneThread(h *home) {
	b, ok := h.p.(backend.Binder)
	if !ok {
		h.Logf("%s is no Binder: any thread may wait", h.p.Name())
		return
	}
	h.must("second Bind on the same thread", b.Bind())
	h.elsewhere(func() {
		if b.Bind() == nil {
			h.Error("Bind on a second thread succeeded")
		}
	})
	h.add(h.eventfd(1).fd, backend.In, 1)
	h.expect(1)
}

func staysAndLeaves(h *home) {
	s, ok := h.p.(backend.Stayer)
	if !ok {
		h.Logf("%s is no Stayer: it gains nothing from a thread that stays", h.p.Name())
		return
	}
	h.must("Leave without Stay", s.Leave())
	fd := h.eventfd(1)
	h.add(fd.fd, backend.In, 1)
	for range 20 { // more than a thread has room for
		s.Stay()
		s.Stay()
		h.expect(1)
		h.must("Leave", s.Leave())
		h.expect(1)
	}
	h.must("a second Leave", s.Leave())
}
