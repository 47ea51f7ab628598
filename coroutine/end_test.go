package coroutine_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/coroutine"
)

// TestTrap47_Panic: a panic in a coroutine goes on to the one that has entered it, and the loop is its
// home goroutine's again.
func TestTrap47_Panic(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		others := 0
		var first, second *coroutine.Co
		first = coroutine.Go(loop, func(co *coroutine.Co) error {
			if err := co.Yield(); err != nil {
				return err
			}
			must(t, second.Wake()) // it is ready when this one panics
			panic("boom")
		})
		second = coroutine.Go(loop, func(co *coroutine.Co) error {
			defer func() { others++ }()
			return co.Yield()
		})
		must(t, loop.ScheduleOnce(func() { _ = first.Wake() }))
		func() {
			defer func() {
				if p := recover(); p != "boom" {
					t.Errorf("the panic is %v", p)
				}
			}()
			_, err := loop.Poll()
			t.Error("no panic", err)
		}()
		if !loop.OnHome() || others != 0 {
			t.Errorf("at home: %v, others: %d", loop.OnHome(), others)
		}
		var p *coroutine.PanicError
		if !errors.As(first.Err(), &p) || p.Value != "boom" || !strings.Contains(string(p.Stack), "TestTrap47_Panic") {
			t.Errorf("the error is %v", first.Err())
		}
		pollUntil(t, loop, second.Ended) // nothing is lost
		must(t, second.Err())
	})
}

func TestPanicInANestedCoroutine(t *testing.T) {
	loop := newLoop(t)
	co := coroutine.Go(loop, func(co *coroutine.Co) error {
		defer func() {
			if p := recover(); p != "inner" {
				t.Errorf("the panic is %v", p)
			}
			if !loop.OnHome() {
				t.Error("the outer coroutine is not at home")
			}
		}()
		coroutine.Go(loop, func(*coroutine.Co) error { panic("inner") })
		t.Error("no panic")
		return nil
	})
	must(t, co.Err())
	if !co.Ended() {
		t.Error("it has not ended")
	}
}

// TestGoexit: what t.Fatal does ends the coroutine, and neither the loop nor its goroutine.
func TestGoexit(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		before := runtime.NumGoroutine()
		deferred := false
		co := coroutine.Go(loop, func(co *coroutine.Co) error {
			defer func() { deferred = true }()
			if err := co.Sleep(0); err != nil {
				return err
			}
			runtime.Goexit()
			return nil
		})
		pollUntil(t, loop, co.Ended)
		wantError(t, co.Err(), coroutine.ErrGoexit)
		if !deferred || !loop.OnHome() {
			t.Errorf("deferred: %v, at home: %v", deferred, loop.OnHome())
		}
		if n := runtime.NumGoroutine(); n > before {
			t.Errorf("%d goroutines, before %d", n, before)
		}
		if !coroutine.Go(loop, func(*coroutine.Co) error { return nil }).Ended() {
			t.Error("the next one does not run")
		}
	})
}

// TestCloseUnwinds: Close makes each wait fail, and names what goes on waiting.
func TestCloseUnwinds(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var m coroutine.Mutex
		var shared coroutine.SharedMutex
		var rw coroutine.RWMutex
		var sem coroutine.Semaphore
		var q coroutine.Queue
		holder := coroutine.Go(loop, func(co *coroutine.Co) error {
			must(t, m.Lock(co))
			defer m.Unlock(co)
			must(t, shared.Lock(co))
			defer shared.Unlock(co)
			must(t, rw.Lock(co))
			defer rw.Unlock(co)
			return co.Yield()
		})
		waits := map[string]func(co *coroutine.Co) error{
			"Yield":     func(co *coroutine.Co) error { return co.Yield() },
			"Sleep":     func(co *coroutine.Co) error { return co.Sleep(time.Hour) },
			"Wait":      func(co *coroutine.Co) error { return co.Wait(func(func()) {}) },
			"Mutex":     func(co *coroutine.Co) error { return m.Lock(co) },
			"Shared":    func(co *coroutine.Co) error { return shared.Lock(co) },
			"RLock":     func(co *coroutine.Co) error { return rw.RLock(co) },
			"Semaphore": func(co *coroutine.Co) error { return sem.Acquire(co, 1) },
			"Queue":     func(co *coroutine.Co) error { return q.Wait(co, nil) },
		}
		cos := map[string]*coroutine.Co{}
		for name, wait := range waits {
			cos[name] = coroutine.GoContext(ctx, loop, func(co *coroutine.Co) error {
				err := wait(co)
				wantError(t, co.Yield(), aio.ErrClosed) // and again
				if err == nil {                         // the holder has let go of the lock first
					for _, unlock := range []func(*coroutine.Co){m.Unlock, shared.Unlock, rw.RUnlock} {
						func() {
							defer func() { _ = recover() }() // of those that it has not got
							unlock(co)
						}()
					}
					return aio.ErrClosed
				}
				return err
			})
		}
		must(t, loop.Close())
		wantError(t, holder.Err(), aio.ErrClosed)
		for name, co := range cos {
			if !errors.Is(co.Err(), aio.ErrClosed) {
				t.Errorf("%s: %v", name, co)
			}
		}
		wantError(t, coroutine.Go(loop, func(*coroutine.Co) error { return nil }).Err(), aio.ErrClosed)
	})
}

func TestCloseNamesWhatDoesNotEnd(t *testing.T) {
	loop := newLoop(t, aio.WithBackend(aio.Epoll))
	stop := make(chan struct{})
	co := coroutine.Go(loop, func(co *coroutine.Co) error {
		co.Named("stubborn")
		for {
			_ = co.Yield()
			select {
			case <-stop: // never
				return nil
			default:
			}
		}
	})
	_ = co
	panicking := coroutine.Go(loop, func(co *coroutine.Co) error {
		defer panic("in its defer")
		return co.Yield()
	})
	_ = panicking
	var leak *aio.LeakError
	if err := loop.Close(); !errors.As(err, &leak) {
		t.Fatalf("Close: %v", err)
	}
	text := strings.Join(leak.Operations, "\n")
	for _, want := range []string{"coroutine stubborn, started at coroutine/end_test.go:", "panicked in Close: in its defer"} {
		if !strings.Contains(text, want) {
			t.Errorf("the leaks are\n%s\nwhich lacks %q", text, want)
		}
	}
}

// TestCloseInACoroutine is refused: the thread would be released under it.
func TestCloseInACoroutine(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		co := coroutine.Go(loop, func(co *coroutine.Co) error { return loop.Close() })
		wantError(t, co.Err(), aio.ErrPolling)
	})
}

// TestCloseElsewhere: another goroutine can end coroutines that are not bound to a thread, and
// names those that are.
func TestCloseElsewhere(t *testing.T) {
	loop, err := aio.New(aio.WithBackend(aio.Epoll), aio.WithMode(aio.ModePark))
	must(t, err)
	ended := make(chan *coroutine.Co)
	go func() {
		_, err := loop.TryPoll()
		if err != nil {
			t.Error(err)
		}
		coroutine.Go(loop, func(*coroutine.Co) error { return nil })
		ended <- coroutine.Go(loop, func(co *coroutine.Co) error { return co.Yield() })
	}()
	co := <-ended
	must(t, loop.Close())
	wantError(t, co.Err(), aio.ErrClosed)
}

func TestNamesAndSnapshot(t *testing.T) {
	loop := newLoop(t, aio.WithBackend(aio.Epoll))
	co := coroutine.Go(loop, func(co *coroutine.Co) error {
		co.Named("reader")
		return co.Sleep(time.Hour)
	})
	done := make(chan string)
	go func() {
		s, err := loop.Snapshot()
		if err != nil {
			t.Error(err)
			done <- ""
			return
		}
		done <- s.String()
	}()
	if s := <-done; !strings.Contains(s, "coroutine reader, started at coroutine/end_test.go:") || !strings.Contains(s, "is in Sleep at coroutine/end_test.go:") {
		t.Errorf("the snapshot is\n%s", s)
	}
	if co.Name() != "reader" || co.Loop() != loop || co.Err() != nil {
		t.Error(co)
	}
}

func TestRunUntilDoneWaits(t *testing.T) {
	loop := newLoop(t)
	var wake func()
	co := coroutine.Go(loop, func(co *coroutine.Co) error {
		return co.Wait(func(done func()) { wake = done })
	})
	go func() {
		for s, err := loop.Snapshot(); err == nil && s.State == aio.NotPolled; s, err = loop.Snapshot() {
			runtime.Gosched() // until RunUntilDone polls
		}
		wake()
	}()
	must(t, loop.RunUntilDone(context.Background()))
	if !co.Ended() {
		t.Error("RunUntilDone has ended before the coroutine")
	}
}

// TestCloseWhileOthersWake: a Wake of another goroutine, or the end of a context, that comes during Close
// leaves nothing that Close would report.
func TestCloseWhileOthersWake(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds /= 10
	}
	eachSetting(t, func(t *testing.T, opts ...aio.Option) {
		for range rounds {
			loop := newLoop(t, opts...)
			ctx, cancel := context.WithCancel(context.Background())
			cancelled := coroutine.GoContext(ctx, loop, func(co *coroutine.Co) error { return co.Yield() })
			woken := coroutine.Go(loop, func(co *coroutine.Co) error { return errors.Join(co.Yield(), co.Yield()) })
			done := make(chan error)
			go func() {
				cancel()
				done <- woken.Wake()
			}()
			runtime.Gosched()
			must(t, loop.Close())
			if err := <-done; err != nil {
				wantError(t, err, aio.ErrClosed)
			}
			if !cancelled.Ended() || !errors.Is(woken.Err(), aio.ErrClosed) {
				t.Fatalf("%v\n%v", cancelled, woken)
			}
		}
	})
}

// Goroutines make coroutines whose context has ended while the loop is closed: each of them ends.
func TestGoWhileTheLoopIsClosed(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	eachLoop(t, func(t *testing.T, _ *aio.Context) {
		for range 100 {
			loop := newLoop(t)
			waits := coroutine.Go(loop, func(co *coroutine.Co) error { return co.Yield() })
			g := coroutine.NewGroup(ctx, loop)
			var makers sync.WaitGroup
			for range 3 {
				makers.Go(func() {
					for range 5 {
						for _, co := range []*coroutine.Co{g.Go(waitsForYield), coroutine.GoContext(ctx, loop, waitsForYield)} {
							select {
							case <-co.Done():
							case <-time.After(patience):
								t.Errorf("%v does not end", co)
							}
						}
					}
				})
			}
			runtime.Gosched()
			if err := loop.Close(); err != nil {
				t.Log(err)
			}
			makers.Wait()
			if !waits.Ended() {
				t.Error("one that waits has not ended")
			}
		}
	})
}

func waitsForYield(co *coroutine.Co) error { return co.Yield() }
