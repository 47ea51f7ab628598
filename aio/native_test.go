package aio

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

// eachNative is eachBackend for those that run operations.
func eachNative(t *testing.T, test func(t *testing.T, c *Context)) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		if c.port.submitter == nil {
			wantError(t, submit(c, Request{}, func(int, error) {}), errors.ErrUnsupported)
			t.Skip("this backend runs no operations, and says so")
		}
		test(t, c)
	})
}

func TestSubmitWritesAndReadsAFile(t *testing.T) {
	eachNative(t, func(t *testing.T, c *Context) {
		fd := openFile(t, filepath.Join(t.TempDir(), "file"))
		var ran journal
		report := func(what string) func(int, error) {
			return func(n int, err error) { ran.add(fmt.Sprint(what, " ", n, " ", err)) }
		}
		step := func(op Request, what string) {
			t.Helper()
			must(t, submit(c, op, report(what)))
			want := len(ran) + 1
			pollUntil(t, c, func() bool { return len(ran) == want })
		}
		step(Request{Code: backend.OpWrite, FD: fd, Buf: []byte("hello")}, "write")
		step(Request{Code: backend.OpFsync, FD: fd}, "fsync")
		b := make([]byte, 8)
		step(Request{Code: backend.OpRead, FD: fd, Buf: b, Offset: 1}, "read")
		step(Request{}, "nop")
		ran.expect(t, "write 5 <nil>", "fsync 0 <nil>", "read 4 <nil>", "nop 0 <nil>")
		if string(b[:4]) != "ello" {
			t.Errorf("read %q", b[:4])
		}
		if s := c.Stats(); s.Completions != 4 {
			t.Errorf("counted as %d", s.Completions)
		}
	})
}

func TestSubmitReportsTheErrno(t *testing.T) {
	eachNative(t, func(t *testing.T, c *Context) {
		var got error
		done := false
		op := Request{Code: backend.OpRead, FD: -1, Buf: make([]byte, 1)}
		must(t, submit(c, op, func(n int, err error) { done, got = n == 0, err }))
		pollUntil(t, c, func() bool { return done })
		wantError(t, got, unix.EBADF)
		if submit(c, Request{Code: 99}, func(int, error) { t.Error("called") }) == nil {
			t.Error("an unknown operation was taken")
		}
		wantPanic(t, func() { _ = c.Submit(new(Request)) })
		elsewhere(func() {
			wantError(t, submit(c, Request{}, func(int, error) { t.Error("called") }), ErrWrongGoroutine)
		})
		settle(t, c)
	})
}

// More operations than any queue holds, each of which is called back once.
func TestSubmitManyOperations(t *testing.T) {
	eachNative(t, func(t *testing.T, c *Context) {
		const n = 5000
		turn(t, c)
		calls := make([]int, n)
		sum := 0
		for i := range n {
			for {
				err := submit(c, Request{}, func(int, error) { calls[i]++; sum++ })
				if !errors.Is(err, unix.EAGAIN) {
					must(t, err)
					break
				}
				turn(t, c) // the queue is full: see completions first
			}
		}
		pollUntil(t, c, func() bool { return sum >= n })
		settle(t, c)
		for i := range calls {
			if calls[i] != 1 {
				t.Fatalf("operation %d was called back %d times", i, calls[i])
			}
		}
	})
}

// A completion callback that polls: the completions behind it run inside, once.
func TestNestedPollRunsTheRemainingCompletions(t *testing.T) {
	eachNative(t, func(t *testing.T, c *Context) {
		var ran journal
		must(t, submit(c, Request{}, func(int, error) {
			ran.add("outer")
			block(t, c)
			ran.add("end")
		}))
		for _, what := range []string{"a", "b"} {
			must(t, submit(c, Request{}, func(int, error) { ran.add(what) }))
		}
		pollUntil(t, c, func() bool { return len(ran) >= 4 })
		ran.expect(t, "outer", "a", "b", "end")
		settle(t, c)
		ran.expect(t)
	})
}

func TestSubmitFromACompletion(t *testing.T) {
	eachNative(t, func(t *testing.T, c *Context) {
		left := 100
		var again func(int, error)
		again = func(int, error) {
			if left--; left > 0 {
				must(t, submit(c, Request{}, again))
			}
		}
		must(t, submit(c, Request{}, again))
		pollUntil(t, c, func() bool { return left == 0 })
	})
}

// The operation's buffer is held while no one else does, also under the collector.
func TestTrap30_BufferStaysUntilTheCompletion(t *testing.T) {
	eachNative(t, func(t *testing.T, c *Context) {
		path := filepath.Join(t.TempDir(), "file")
		must(t, os.WriteFile(path, make([]byte, 4096), 0o600))
		fd := openFile(t, path)
		left := 200
		for i := range left {
			b := make([]byte, 4096)
			for j := range b {
				b[j] = byte(i)
			}
			must(t, submit(c, Request{Code: backend.OpRead, FD: fd, Buf: b}, func(n int, err error) {
				left--
				for _, x := range b[:n] {
					if err != nil || x != 0 {
						t.Errorf("operation %d: %d, %v: the buffer was not filled", i, x, err)
						return
					}
				}
			}))
			if i%20 == 0 {
				runtime.GC()
				turn(t, c)
			}
		}
		pollUntil(t, c, func() bool { return left == 0 })
	})
}

// A read that never ends does not keep the Context from closing.
func TestCloseWithAnOperationUnderWay(t *testing.T) {
	eachNative(t, func(t *testing.T, c *Context) {
		r, _ := pipe(t)
		must(t, unix.SetNonblock(r, false))
		op := Request{Code: backend.OpRead, FD: r, Buf: make([]byte, 1), Offset: -1}
		must(t, submit(c, op, func(int, error) { t.Error("called back after Close") }))
		turn(t, c)
		var leaks *LeakError
		err := c.Close()
		if want := fmt.Sprintf("read of fd %d", r); !errors.As(err, &leaks) || !slices.Equal(leaks.Operations, []string{want}) || !strings.Contains(err.Error(), want) {
			t.Errorf("Close: %v, want an error that names the %s", err, want)
		}
		wantError(t, submit(c, op, func(int, error) {}), ErrClosed)
	})
}

// The foreign loop does not wait for an operation that no one has started.
func TestForeignLoopStartsOperationsSubmittedAfterPrepare(t *testing.T) {
	eachNative(t, func(t *testing.T, c *Context) {
		for _, afterQuery := range []bool{false, true} {
			done := 0
			submit := func() { must(t, submit(c, Request{}, func(int, error) { done++ })) }
			timeout, err := c.Prepare()
			must(t, err)
			if !afterQuery {
				submit()
			}
			fds := c.Query(nil)
			if afterQuery {
				submit()
			}
			waitForeign(t, fds, timeout)
			_, err = c.Check(fds)
			must(t, err)
			_, err = c.Dispatch()
			must(t, err)
			foreignUntil(t, c, func() bool { return done > 0 })
			if settle(t, c); done != 1 {
				t.Errorf("called %d times", done)
			}
		}
	})
}

// A loop may be set up with operations before a foreign one steps it for the first time.
func TestForeignLoopBeginsWithOperations(t *testing.T) {
	eachNative(t, func(t *testing.T, c *Context) {
		done := 0
		for range 3 {
			must(t, submit(c, Request{}, func(n int, err error) { done++; must(t, err) }))
		}
		foreignUntil(t, c, func() bool { return done == 3 })
		if settle(t, c); done != 3 {
			t.Errorf("%d calls for 3 operations", done)
		}
	})
}

func TestSubmitRefusesWhatIsUnderWay(t *testing.T) {
	eachNative(t, func(t *testing.T, c *Context) {
		r, w := pipe(t)
		must(t, unix.SetNonblock(r, false))
		calls := 0
		read := &Request{Code: backend.OpRead, FD: r, Buf: make([]byte, 1), Offset: -1, Done: func(*Request) { calls++ }}
		must(t, c.Submit(read))
		wantError(t, c.Submit(read), unix.EBUSY)
		wantError(t, c.Complete(read), unix.EBUSY)
		turn(t, c)
		_, err := unix.Write(w, []byte("x"))
		must(t, err)
		pollUntil(t, c, func() bool { return calls == 1 })
		must(t, c.Submit(read)) // again
		_, err = unix.Write(w, []byte("x"))
		must(t, err)
		pollUntil(t, c, func() bool { return calls == 2 })
	})
}

func TestCancelledOperationCallsBackOnce(t *testing.T) {
	eachNative(t, func(t *testing.T, c *Context) {
		for _, started := range []bool{false, true} {
			r, _ := pipe(t)
			must(t, unix.SetNonblock(r, false))
			var results []error
			read := &Request{Code: backend.OpRead, FD: r, Buf: make([]byte, 1), Offset: -1, Done: func(r *Request) { results = append(results, r.Err()) }}
			must(t, c.Cancel(read)) // not under way
			must(t, c.Submit(read))
			if started {
				turn(t, c)
			}
			must(t, c.Cancel(read))
			must(t, c.Cancel(read))
			if len(results) != 0 {
				t.Error("Done was called inside Cancel")
			}
			pollUntil(t, c, func() bool { return len(results) > 0 })
			settle(t, c)
			if !slices.Equal(results, []error{unix.ECANCELED}) {
				t.Errorf("called with %v", results)
			}
			elsewhere(func() { wantError(t, c.Cancel(read), ErrWrongGoroutine) })
		}
	})
}

// Trap 54: what a package has done in another way calls back in a later iteration, on all
// backends, and behind what has completed before.
func TestTrap54_CompleteCallsBackLater(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		request := func(what string, then func()) *Request {
			return &Request{Result: -int32(unix.EIO), Done: func(r *Request) {
				ran.add(fmt.Sprint(what, " ", r.Err()))
				then()
			}}
		}
		inner := request("inner", func() {})
		outer := request("outer", func() {
			must(t, c.Complete(inner))
			ran.add("end")
		})
		must(t, c.Complete(outer))
		wantError(t, c.Complete(outer), unix.EBUSY)
		must(t, c.Cancel(outer)) // too late
		ran.expect(t)
		if s, err := c.Snapshot(); err != nil || !slices.Equal(s.Operations, []string{"nop"}) {
			t.Errorf("the snapshot names %v, %v", s.Operations, err)
		}
		block(t, c) // does not sleep
		pollUntil(t, c, func() bool { return len(ran) == 3 })
		ran.expect(t, "outer input/output error", "end", "inner input/output error")
		wantPanic(t, func() { _ = c.Complete(new(Request)) })
		elsewhere(func() { wantError(t, c.Complete(outer), ErrWrongGoroutine) })
	})
}

// A request that is made again in its own Done, and is done immediately, lets the loop go on.
func TestChainOfCompletionsLetsOthersRun(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		calls, ran, ended := 0, 0, false
		chain := &Request{}
		chain.Done = func(r *Request) {
			if calls++; ran == 0 && calls < 1000 {
				must(t, c.Complete(r))
			} else {
				ended = true
			}
		}
		must(t, c.Complete(chain))
		must(t, c.ScheduleOnce(func() { ran = calls }))
		pollUntil(t, c, func() bool { return ended })
		if ran == 0 || ran > 2 {
			t.Errorf("the bottom half ran after %d completions", ran)
		}
	})
}

func TestSupports(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		if got, want := c.Supports(backend.OpNop), c.port.submitter != nil; got != want {
			t.Errorf("nop: %v, want %v", got, want)
		}
		if c.Supports(200) {
			t.Error("there is no such code")
		}
		turn(t, c)
		elsewhere(func() {
			if c.Supports(backend.OpNop) {
				t.Error("elsewhere it is not known")
			}
		})
	})
}

func TestCheckHome(t *testing.T) {
	c := newLoopOn(t, Epoll)
	elsewhere(func() { must(t, c.CheckHome()) }) // there is no home goroutine yet
	turn(t, c)
	must(t, c.CheckHome())
	elsewhere(func() { wantError(t, c.CheckHome(), ErrWrongGoroutine) })
	closeLoop(t, c)
	wantError(t, c.CheckHome(), ErrClosed)
}

func TestRegisteredFile(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		fd := openFile(t, filepath.Join(t.TempDir(), "file"))
		index, err := c.RegisterFile(fd)
		if _, missing := c.port.registrar(); missing != nil {
			wantError(t, err, errors.ErrUnsupported)
			wantError(t, c.UnregisterFile(0), errors.ErrUnsupported)
			return
		}
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip("skipped:", err)
		}
		must(t, err)
		done := false
		must(t, c.Submit(&Request{Code: backend.OpWrite, FixedFile: true, FD: index, Buf: []byte("x"), Done: func(r *Request) {
			done = r.Result == 1
		}}))
		pollUntil(t, c, func() bool { return done })
		elsewhere(func() {
			_, err := c.RegisterFile(fd)
			wantError(t, err, ErrWrongGoroutine)
			wantError(t, c.UnregisterFile(index), ErrWrongGoroutine)
		})
		must(t, c.UnregisterFile(index))
		wantError(t, c.UnregisterFile(index), unix.ENOENT)
	})
}

func TestRegisteredBuffer(t *testing.T) {
	c := newLoopOn(t, Epoll)
	_, err := c.RegisterBuffer(make([]byte, 1))
	wantError(t, err, errors.ErrUnsupported)
	wantError(t, c.UnregisterBuffer(0), errors.ErrUnsupported)

	c = newLoopOn(t, IOUring)
	memory := make([]byte, 8192)
	index, err := c.RegisterBuffer(memory)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("skipped:", err)
	}
	must(t, err)
	fd := openFile(t, filepath.Join(t.TempDir(), "file"))
	done := false
	must(t, c.Submit(&Request{Code: backend.OpWrite, FixedBuffer: true, Buffer: index, FD: fd, Buf: memory[100:200], Done: func(r *Request) {
		done = r.Result == 100
	}}))
	pollUntil(t, c, func() bool { return done })
	elsewhere(func() {
		_, err := c.RegisterBuffer(memory)
		wantError(t, err, ErrWrongGoroutine)
		wantError(t, c.UnregisterBuffer(index), ErrWrongGoroutine)
	})
	must(t, c.UnregisterBuffer(index))
	wantError(t, c.UnregisterBuffer(index), unix.ENOENT)
}
