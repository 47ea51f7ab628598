package aio

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aioloop/aioloop/internal/testkit/guest"
)

func TestBottomHalvesRunInTheOrderOfScheduling(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		const n = 100
		var ran, want journal
		bhs := make([]*BottomHalf, n)
		for i := range bhs {
			bhs[i] = c.NewBottomHalf(ran.note(fmt.Sprint(i)))
		}
		for i := range n {
			at := i * 37 % n // not the order in which they were made
			must(t, bhs[at].Schedule())
			want.add(fmt.Sprint(at))
		}
		if !turn(t, c) {
			t.Error("bottom halves are no progress")
		}
		ran.expect(t, want...)
	})
}

func TestBottomHalfScheduledTwiceRunsOnce(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		a, b := c.NewBottomHalf(ran.note("a")), c.NewBottomHalf(ran.note("b"))
		for _, bh := range []*BottomHalf{a, b, a, a} {
			must(t, bh.Schedule())
		}
		turn(t, c)
		ran.expect(t, "a", "b")
		if turn(t, c) {
			t.Error("progress with nothing scheduled")
		}
		ran.expect(t)
	})
}

func TestBottomHalfScheduledFromItselfRunsInTheNextIteration(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		ran := 0
		var b *BottomHalf
		b = c.NewBottomHalf(func() {
			ran++
			must(t, b.Schedule())
		})
		must(t, b.Schedule())
		for i := 1; i <= 5; i++ {
			if block(t, c); ran != i {
				t.Fatalf("ran %d times in %d iterations", ran, i)
			}
		}
		b.Cancel()
	})
}

func TestBottomHalfScheduledFromAnotherRunsInTheNextIteration(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		later := c.NewBottomHalf(ran.note("later"))
		must(t, c.ScheduleOnce(func() {
			ran.add("first")
			must(t, later.Schedule())
		}))
		must(t, c.ScheduleOnce(ran.note("second")))
		turn(t, c)
		ran.expect(t, "first", "second")
		turn(t, c)
		ran.expect(t, "later")
	})
}

func TestCancelTakesBackASchedule(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		b := c.NewBottomHalf(ran.note("b"))
		must(t, b.Schedule())
		if !b.Scheduled() {
			t.Error("not Scheduled after Schedule")
		}
		b.Cancel()
		if b.Scheduled() {
			t.Error("Scheduled after Cancel")
		}
		if turn(t, c) {
			t.Error("a cancelled bottom half is progress")
		}
		ran.expect(t)

		must(t, b.Schedule()) // Cancel is not final
		b.Cancel()
		must(t, b.Schedule())
		turn(t, c)
		ran.expect(t, "b")
	})
}

func TestCancelFromAnEarlierBottomHalf(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		b := c.NewBottomHalf(ran.note("b"))
		must(t, c.ScheduleOnce(func() { b.Cancel() }))
		must(t, b.Schedule())
		turn(t, c)
		turn(t, c)
		ran.expect(t)
	})
}

func TestClosedBottomHalfDoesNotRun(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		b := c.NewBottomHalf(ran.note("b"))
		must(t, b.Schedule())
		must(t, b.Close())
		wantError(t, b.Schedule(), ErrClosed)
		wantError(t, b.ScheduleIdle(), ErrClosed)
		settle(t, c)
		ran.expect(t)
		wantError(t, b.Close(), ErrClosed)
	})
}

func TestBottomHalfClosesItself(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		ran := 0
		var b *BottomHalf
		b = c.NewBottomHalf(func() {
			ran++
			must(t, b.Schedule())
			b.Close()
			wantError(t, b.Schedule(), ErrClosed)
		})
		must(t, b.Schedule())
		settle(t, c)
		if ran != 1 {
			t.Errorf("ran %d times", ran)
		}
	})
}

// A Schedule that has passed its check of closed when Close comes must not win.
func TestCloseBeatsAScheduleUnderWay(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		for range 300 {
			closed := false
			b := c.NewBottomHalf(func() {
				if closed {
					t.Error("ran after Close had returned")
				}
			})
			var producers sync.WaitGroup
			producers.Go(func() {
				for b.Schedule() == nil {
				}
			})
			turn(t, c)
			b.Close()
			closed = true
			turn(t, c)
			producers.Wait()
			turn(t, c)
		}
		b := c.NewBottomHalf(func() { t.Error("ran though it was closed") })
		must(t, b.Schedule())
		b.closed.Store(true) // as Schedule sees it that began before and ends after Close
		turn(t, c)
	})
}

func TestScheduleOnce(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		must(t, c.ScheduleOnce(func() {
			ran.add("outer")
			must(t, c.ScheduleOnce(ran.note("inner")))
		}))
		must(t, c.ScheduleOnce(ran.note("second")))
		turn(t, c)
		ran.expect(t, "outer", "second")
		turn(t, c)
		ran.expect(t, "inner")
		settle(t, c)
		ran.expect(t)
	})
}

func TestBottomHalfIsScheduledUntilItRuns(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var b *BottomHalf
		b = c.NewBottomHalf(func() {
			if b.Scheduled() {
				t.Error("Scheduled while it runs")
			}
		})
		if b.Scheduled() {
			t.Error("Scheduled when it is new")
		}
		must(t, b.Schedule())
		turn(t, c)
		if b.Scheduled() {
			t.Error("Scheduled after it ran")
		}
	})
}

// No schedule is lost, and what was written before one is visible to the run that
// follows: the plain variables would be a race otherwise.
func TestManyProducersLoseNothing(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		const producers = 8
		each := guest.Few(500)
		c := newLoop()
		once := 0
		var handed, seen [producers]int
		start(t, c)
		var group sync.WaitGroup
		for p := range producers {
			group.Go(func() {
				ack := make(chan int, 1)
				b := c.NewBottomHalf(func() { seen[p] = handed[p]; ack <- handed[p] })
				for i := 1; i <= each; i++ {
					handed[p] = i
					must(t, c.ScheduleOnce(func() { once++ }))
					must(t, b.Schedule())
					if got := <-ack; got != i {
						t.Errorf("producer %d: the bottom half saw %d, want %d", p, got, i)
					}
				}
			})
		}
		group.Wait()
		must(t, c.Do(t.Context(), func() error {
			if once != producers*each {
				t.Errorf("%d one-shots ran of %d", once, producers*each)
			}
			for p := range seen {
				if seen[p] != each {
					t.Errorf("producer %d was seen at %d", p, seen[p])
				}
			}
			return nil
		}))
	})
}

// Each producer's own order is kept, whatever the others do.
func TestProducersKeepTheirOrder(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		const producers, each = 4, 2000
		c := newLoop()
		var last [producers]int
		var group sync.WaitGroup
		for p := range producers {
			group.Go(func() {
				for i := 1; i <= each; i++ {
					must(t, c.ScheduleOnce(func() {
						if last[p] != i-1 {
							t.Errorf("producer %d: %d ran after %d", p, i, last[p])
						}
						last[p] = i
					}))
				}
			})
		}
		pollUntil(t, c, func() bool { return last == [producers]int{each, each, each, each} })
		group.Wait()
	})
}

// What lies behind a producer that is between its two steps runs when that one has come
// to its end, though the queue is empty by then.
func TestGapInTheQueue(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		must(t, c.NewBottomHalf(ran.note("older")).Schedule())
		close := gap(c, c.NewBottomHalf(ran.note("newer")))
		for range 2 {
			if turn(t, c) {
				t.Error("progress")
			}
		}
		ran.expect(t)
		close()
		turn(t, c)
		ran.expect(t, "older", "newer")
	})
}

// What was gathered is reported once, also while it waits for its run.
func TestGatherReportsOnce(t *testing.T) {
	c := newLoopOn(t, Ppoll)
	must(t, c.ScheduleOnce(func() {}))
	if !c.halves.gather(&c.watch) || c.halves.gather(&c.watch) {
		t.Error("not once")
	}
	must(t, c.NewBottomHalf(func() {}).ScheduleIdle())
	if !c.halves.gather(&c.watch) || c.halves.gather(&c.watch) {
		t.Error("an idle one: not once")
	}
	settle(t, c)
	turn(t, c)
}

// A bottom half that is cancelled and scheduled again keeps its place, as in QEMU.
func TestCancelAndScheduleKeepThePlace(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		a, b := c.NewBottomHalf(ran.note("a")), c.NewBottomHalf(ran.note("b"))
		must(t, a.Schedule())
		must(t, b.Schedule())
		a.Cancel()
		must(t, a.Schedule())
		turn(t, c)
		ran.expect(t, "a", "b")
	})
}

// What callbacks schedule on the home goroutine takes a shorter way than what others
// schedule, and does not overtake it: neither what is in the queue nor what lies behind a gap.
func TestCallbacksKeepTheOrderWithOthers(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		half := func(name string) *BottomHalf { return c.NewBottomHalf(ran.note(name)) }
		elsewhere := func(b *BottomHalf) {
			done := make(chan error)
			go func() { done <- b.Schedule() }()
			must(t, <-done)
		}
		turnWith(t, c, func() {
			must(t, half("a").Schedule())
			elsewhere(half("b"))
			must(t, half("c").Schedule())
			elsewhere(half("d"))
		})
		turn(t, c)
		ran.expect(t, "a", "b", "c", "d")

		var close func()
		turnWith(t, c, func() {
			must(t, half("before").Schedule())
			must(t, half("older").Schedule())
			close = gap(c, half("newer"))
			must(t, half("newest").Schedule())
		})
		close()
		turn(t, c)
		ran.expect(t, "before", "older", "newer", "newest")
	})
}

// turnWith is an iteration in which f is called as a bottom half.
func turnWith(t *testing.T, c *Context, f func()) {
	t.Helper()
	must(t, c.ScheduleOnce(f))
	turn(t, c)
}

// What a callback has scheduled last is a leak like any other, wherever Close is called.
func TestWhatACallbackSchedulesIsALeak(t *testing.T) {
	c := newLoopOn(t, Ppoll, WithMode(ModeThread))
	turnWith(t, c, func() { must(t, c.NewBottomHalf(func() {}).Named("late").Schedule()) })
	closed := make(chan error)
	go func() { closed <- c.Close() }()
	var leaks *LeakError
	if err := <-closed; !errors.As(err, &leaks) || !slices.Equal(leaks.BottomHalves, []string{"late"}) {
		t.Errorf("Close: %v, want a leak of %q", err, "late")
	}
}

// A Schedule that comes between the two steps of the bottom half's Close is taken back: Close of the loop
// does not name it.
func TestScheduleBesideItsClose(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		b := c.NewBottomHalf(func() {})
		must(t, b.Schedule())
		b.closed.Store(true)
		must(t, c.Close())
	})
}

// What was scheduled and cancelled on the home goroutine does not keep Poll from sleeping.
func TestPollSleepsThoughABottomHalfWasCancelled(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		turn(t, c)
		b := c.NewBottomHalf(func() { t.Error("it runs") })
		must(t, b.Schedule())
		b.Cancel()
		_, err := c.AfterFunc(10*time.Millisecond, func() {})
		must(t, err)
		before := c.Stats().Sleeps
		_, err = c.Poll()
		must(t, err)
		if c.Stats().Sleeps == before {
			t.Error("Poll has not slept")
		}
	})
}
