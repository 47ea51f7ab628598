package coroutine_test

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/coroutine"
)

// TestStringSaysWhatItDoes, in each wait, and where.
func TestStringSaysWhatItDoes(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		var m coroutine.Mutex
		var shared coroutine.SharedMutex
		var rw coroutine.RWMutex
		var s coroutine.Semaphore
		var q coroutine.Queue
		g := coroutine.NewGroup(t.Context(), loop)
		holder := g.Go(func(co *coroutine.Co) error {
			must(t, errors.Join(m.Lock(co), shared.Lock(co), rw.Lock(co)))
			defer func() { m.Unlock(co); shared.Unlock(co); rw.Unlock(co) }()
			return co.Yield()
		})
		for text, wait := range map[string]func(co *coroutine.Co) error{
			"is in Yield":           func(co *coroutine.Co) error { return co.Yield() },
			"is in Sleep":           func(co *coroutine.Co) error { return co.Sleep(time.Hour) },
			"is in Wait":            func(co *coroutine.Co) error { return co.Wait(func(func()) {}) },
			"waits for a lock":      func(co *coroutine.Co) error { return m.Lock(co) },
			"waits for a lock ":     func(co *coroutine.Co) error { return shared.Lock(co) },
			"waits for a lock  ":    func(co *coroutine.Co) error { return rw.RLock(co) },
			"waits in a Queue":      func(co *coroutine.Co) error { return q.Wait(co, nil) },
			"waits for a Semaphore": func(co *coroutine.Co) error { return s.Acquire(co, 1) },
			"waits for a Group":     func(co *coroutine.Co) error { return g.Wait(co) },
		} {
			text = strings.TrimSpace(text)
			co := coroutine.Go(loop, func(co *coroutine.Co) error {
				co.Named("a")
				if s := co.String(); !regexp.MustCompile(`^coroutine a, started at coroutine/report_test.go:\d+, runs$`).MatchString(s) {
					t.Errorf("it says %q", s)
				}
				err := wait(co)
				if err == nil { // Close has ended the holder first
					return releaseAll(co, m.Unlock, shared.Unlock, rw.RUnlock)
				}
				return err
			})
			want := fmt.Sprintf(`^coroutine a, started at coroutine/report_test.go:\d+, %s at coroutine/report_test.go:\d+ for [0-9].*s$`, text)
			if s := co.String(); !regexp.MustCompile(want).MatchString(s) {
				t.Errorf("it says %q, want %s", s, want)
			}
		}
		must(t, loop.Close())
		if s := holder.String(); !strings.HasSuffix(s, ", has ended") {
			t.Errorf("it says %q", s)
		}
	})
	loop := newLoop(t)
	unbegun := make(chan *coroutine.Co)
	go func() { unbegun <- coroutine.Go(loop, func(*coroutine.Co) error { return nil }) }()
	co := <-unbegun
	if s := co.String(); !strings.HasSuffix(s, ", has not begun") {
		t.Errorf("it says %q", s)
	}
	pollUntil(t, loop, co.Ended)
}

// releaseAll undoes the one lock that co has.
func releaseAll(co *coroutine.Co, unlocks ...func(*coroutine.Co)) error {
	for _, unlock := range unlocks {
		func() {
			defer func() { _ = recover() }() // of those that it has not got
			unlock(co)
		}()
	}
	return aio.ErrClosed
}

// TestStringSaysSinceWhen: the time since the iteration in which the wait has begun.
func TestStringSaysSinceWhen(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		begin := time.Now()
		sleeper := coroutine.Go(loop, func(co *coroutine.Co) error { return co.Sleep(0) })
		pollUntil(t, loop, sleeper.Ended) // the next iteration has its own time
		began := time.Now()
		co := coroutine.Go(loop, func(co *coroutine.Co) error { return co.Yield() })
		over := false
		_, err := loop.AfterFunc(20*time.Millisecond, func() { over = true })
		must(t, err)
		pollUntil(t, loop, func() bool { return over })
		atLeast := time.Since(began) - 15*time.Millisecond // the iteration may have begun a little later, or earlier
		_, text, _ := strings.Cut(co.String(), " for ")
		since, err := time.ParseDuration(text)
		if err != nil || since < atLeast || since > time.Since(begin)+time.Millisecond {
			t.Errorf("it says %v, %v; at least %v", co, err, atLeast)
		}
		must(t, co.Wake())
	})
}

// TestSnapshotNamesThoseThatLive, in order, and not what has ended.
func TestSnapshotNamesThoseThatLive(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		names := func() (names []string) {
			s, err := loop.Snapshot()
			must(t, err)
			for _, what := range s.Operations {
				name, _, _ := strings.Cut(strings.TrimPrefix(what, "coroutine "), ",")
				names = append(names, name)
			}
			return names
		}
		var cos []*coroutine.Co
		for _, name := range []string{"d", "b", "e", "a", "c"} {
			cos = append(cos, coroutine.Go(loop, func(co *coroutine.Co) error {
				co.Named(name)
				return co.Yield()
			}))
		}
		if got := names(); !slices.Equal(got, []string{"a", "b", "c", "d", "e"}) {
			t.Errorf("they are %v", got)
		}
		for _, co := range cos {
			must(t, co.Wake())
		}
		if got := names(); len(got) > 0 {
			t.Errorf("they are %v", got)
		}
	})
}

// TestNamedElsewhere gives the coroutine a name and the caller no label.
func TestNamedElsewhere(t *testing.T) {
	loop := newLoop(t)
	co := coroutine.Go(loop, func(co *coroutine.Co) error { return co.Yield() })
	co.Named("from home")
	if s := dump(t); co.Name() != "from home" || strings.Contains(s, "from home") {
		t.Errorf("%v; the goroutines are\n%s", co, s)
	}
	must(t, co.Wake())
}

// TestPanicErrorUnwraps a value that is an error.
func TestPanicErrorUnwraps(t *testing.T) {
	loop := newLoop(t)
	for _, value := range []any{io.ErrUnexpectedEOF, "no error"} {
		co := coroutine.Go(loop, func(co *coroutine.Co) error {
			co.Named("a")
			_ = co.Yield()
			panic(value)
		})
		func() {
			defer func() {
				if p := recover(); p != value {
					t.Errorf("the panic is %v", p)
				}
			}()
			_ = co.Wake()
		}()
		if err, isError := value.(error); isError {
			wantError(t, co.Err(), err)
		}
		var p *coroutine.PanicError
		if !errors.As(co.Err(), &p) || p.Coroutine != "a" || !strings.Contains(p.Error(), fmt.Sprintf("a panicked: %v", value)) {
			t.Errorf("the error is %v", co.Err())
		}
	}
}

// TestUseErrorSaysBoth: the second place comes first, as in "here, and before that there".
func TestUseErrorSaysBoth(t *testing.T) {
	loop := newLoop(t)
	co := coroutine.Go(loop, func(co *coroutine.Co) error { return co.Sleep(0) })
	var use *coroutine.UseError
	if !errors.As(co.Enter(), &use) || !strings.Contains(co.String(), "started at "+use.First) { // it was not woken
		t.Errorf("it is %v, and the error %v", co, use)
	}
	must(t, co.Wake())
	if !errors.As(co.Wake(), &use) || strings.Contains(co.String(), "started at "+use.First) {
		t.Errorf("it is %v, and the error %v", co, use)
	}
	if text := use.Error(); !strings.HasSuffix(text, fmt.Sprintf("was woken twice: at %s, and before that at %s", use.Second, use.First)) {
		t.Errorf("the text is %q", text)
	}
	pollUntil(t, loop, co.Ended)
}

// TestLockOfOneThatDoesNotRun is refused by every lock, even if it is free.
func TestLockOfOneThatDoesNotRun(t *testing.T) {
	loop := newLoop(t)
	co := coroutine.Go(loop, func(co *coroutine.Co) error { return co.Yield() })
	for range 2 { // while it waits, and after its end
		var m coroutine.Mutex
		var shared coroutine.SharedMutex
		var rw coroutine.RWMutex
		for _, err := range []error{m.Lock(co), shared.Lock(co), rw.Lock(co), rw.RLock(co)} {
			wantError(t, err, coroutine.ErrNotRunning)
		}
		if m.Locked() || shared.Locked() {
			t.Error("it is locked")
		}
		_ = co.Wake()
	}
}

// TestSharedMutexIsLockedDuringAHandOver: no other coroutine can come in between.
func TestSharedMutexIsLockedDuringAHandOver(t *testing.T) {
	loop := newLoop(t)
	var m coroutine.SharedMutex
	var second *coroutine.Co
	first := coroutine.Go(loop, func(co *coroutine.Co) error {
		must(t, m.Lock(co))
		second = coroutine.Go(loop, func(co *coroutine.Co) error {
			must(t, m.Lock(co))
			m.Unlock(co)
			return nil
		})
		m.Unlock(co)
		if !m.Locked() || second.Ended() {
			t.Errorf("locked: %v; %v", m.Locked(), second)
		}
		return nil
	})
	must(t, errors.Join(first.Err(), second.Err()))
	if m.Locked() || !second.Ended() {
		t.Errorf("locked: %v; %v", m.Locked(), second)
	}
}
