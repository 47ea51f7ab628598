package bench

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

var idleCounts = []int{1, 8, 64, 512, 1024, 4096, 8192}

// idleBatch is smaller than selfBatch: with ppoll and thousands of descriptors,
// one operation takes a millisecond.
const idleBatch = 10

// idleSpare is how many descriptors a process needs besides the idle ones.
const idleSpare = 64

func idleFDsGroups() []group {
	counts, note := idleCountsHere()
	var groups []group
	for _, n := range counts {
		p := param{"idle_fds", fmt.Sprint(n)}
		g := group{scenario: "idle-fds", label: "idle_fds=" + p.value, took: time.Second}
		for _, row := range append(Backends(), Netpoller) {
			c := testCase{
				row: row, params: []param{p}, driver: atHome, notes: []string{batchNote(idleBatch)},
				setup: func(s *site) (runFunc, error) { return selfNotifier(s, row, n, idleBatch) },
			}
			if !isBackend(row) {
				c.driver = anywhere
				c.notes = append(c.notes, unlockedNote, netpollerNote+"; the idle descriptors are in the poller as well")
			}
			if note != "" {
				c.notes = append(c.notes, note)
			}
			g.cases = append(g.cases, c)
		}
		groups = append(groups, g)
	}
	return groups
}

// idleCountsHere are those that the limit of open files allows.
func idleCountsHere() (counts []int, note string) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return idleCounts, ""
	}
	for i, n := range idleCounts {
		if uint64(n+idleSpare) > limit.Cur {
			return idleCounts[:i], fmt.Sprintf("%d idle descriptors and more were left out: the limit of open files (RLIMIT_NOFILE) is %d", n, limit.Cur)
		}
	}
	return idleCounts, ""
}

// selfNotifier sets an event notifier and polls until its handler has run, beside
// a number of idle descriptors.
func selfNotifier(s *site, row string, idle int, batch int64) (runFunc, error) {
	if row == Netpoller {
		return selfNetpoller(s, idle, batch)
	}
	loop, err := s.loopHere(row)
	if err != nil {
		return nil, err
	}
	if err := s.idleHandlers(loop, idle); err != nil {
		return nil, err
	}
	var runs, sets int64
	bell, err := aio.NewEventNotifier()
	if err != nil {
		return nil, err
	}
	s.atExit(bell.Close)
	h, err := loop.WatchNotifier(bell, func() { runs++ })
	if err != nil {
		return nil, err
	}
	s.atExit(h.Close)
	return batched(batch, &runs, func() error {
		sets++
		err := bell.Set()
		for runs < sets && err == nil {
			_, err = loop.Poll()
		}
		return err
	}), nil
}

// idleHandlers watches n descriptors on which nothing happens.
func (s *site) idleHandlers(loop *aio.Context, n int) error {
	for range n {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			return fmt.Errorf("idle descriptor: %w", err)
		}
		h, err := loop.Watch(fd, aio.Callbacks{Read: func() { s.fail(errors.New("an idle descriptor became ready")) }})
		if err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		s.atExit(func() error { return errors.Join(h.Close(), unix.Close(fd)) })
	}
	return nil
}

// selfNetpoller does the same with a goroutine that is parked in the poller of the
// runtime. A read on the writing goroutine would find the eventfd readable and
// never come to the poller.
func selfNetpoller(s *site, idle int, batch int64) (runFunc, error) {
	s.confine()
	for range idle {
		file, _, err := eventfdFile()
		if err != nil {
			return nil, fmt.Errorf("idle descriptor: %w", err)
		}
		s.atExit(file.Close)
	}
	var runs int64
	ran := make(chan struct{}, 1)
	fd, err := s.reader(func() { runs++; ran <- struct{}{} })
	return batched(batch, &runs, func() error {
		setEventfd(fd)
		return s.await(ran)
	}), err
}
