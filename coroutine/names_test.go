package coroutine_test

import (
	"bytes"
	"regexp"
	"runtime/pprof"
	"runtime/trace"
	"testing"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/coroutine"
)

// dump returns the goroutines of the process with their labels.
func dump(t *testing.T) string {
	var text bytes.Buffer
	must(t, pprof.Lookup("goroutine").WriteTo(&text, 1))
	return text.String()
}

// TestNamesInGoroutineDumps: a coroutine that has a name shows it as long as it lives, and the next one on
// the same goroutine does not.
func TestNamesInGoroutineDumps(t *testing.T) {
	labelled := regexp.MustCompile(`(?m)^# labels: \{"coroutine":"reader of disk 7"\}\n(#.*\n)*?#.*TestNamesInGoroutineDumps`)
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		co := coroutine.Go(loop, func(co *coroutine.Co) error {
			co.Named("reader of disk 7")
			if s := dump(t); !labelled.MatchString(s) {
				t.Errorf("while it runs, the goroutines are\n%s", s)
			}
			return co.Sleep(time.Hour)
		})
		if s := dump(t); !labelled.MatchString(s) {
			t.Errorf("while it waits, the goroutines are\n%s", s)
		}
		var other bytes.Buffer
		started := coroutine.Go(loop, func(co *coroutine.Co) error { // that one must not have the name
			co.Named("second")
			co.Named("renamed")
			return co.Yield()
		})
		must(t, started.Wake())
		must(t, started.Err())
		coroutine.Go(loop, func(co *coroutine.Co) error { // on the goroutine of the last one
			return pprof.Lookup("goroutine").WriteTo(&other, 1)
		})
		if bytes.Contains(other.Bytes(), []byte("second")) || bytes.Contains(other.Bytes(), []byte("renamed")) {
			t.Errorf("the name has stayed:\n%s", &other)
		}
		must(t, loop.Close())
		wantError(t, co.Err(), aio.ErrClosed)
		if s := dump(t); labelled.MatchString(s) {
			t.Errorf("after its end:\n%s", s)
		}
	})
}

// TestNamesInTraces: an execution trace has a region for each coroutine that was started in it, with its
// name, from the call of Named on, or that of its function.
func TestNamesInTraces(t *testing.T) {
	if trace.IsEnabled() {
		t.Skip("go test traces already")
	}
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		untraced := coroutine.Go(loop, func(co *coroutine.Co) error {
			err := co.Yield()
			co.Named("late") // no region was begun
			return err
		})
		var text bytes.Buffer
		must(t, trace.Start(&text))
		must(t, untraced.Wake())
		var stays *coroutine.Co
		for range 2 {
			coroutine.Go(loop, unnamed)
			stays = coroutine.Go(loop, func(co *coroutine.Co) error {
				co.Named("reader of disk 7")
				co.Named("writer of disk 8")
				return co.Yield()
			})
		}
		trace.Stop()
		must(t, stays.Wake()) // its region ends outside of the trace
		must(t, stays.Err())
		for _, name := range []string{"coroutine reader of disk 7", "coroutine writer of disk 8", "coroutine github.com/aioloop/aioloop/coroutine_test.unnamed"} {
			if !bytes.Contains(text.Bytes(), []byte(name)) {
				t.Errorf("the trace has no region %q", name)
			}
		}
		if bytes.Contains(text.Bytes(), []byte("coroutine late")) {
			t.Error("a region begins in the middle")
		}
		must(t, loop.Close())
	})
}

func unnamed(*coroutine.Co) error { return nil }
