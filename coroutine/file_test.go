package coroutine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/coroutine"
	"github.com/aioloop/aioloop/file"
)

// read reads with r in one line. If the wait fails, it cancels r and waits for its end all the same,
// so that the buffer is the caller's again. Once the loop is closed it cannot: r keeps the buffer.
func read(co *coroutine.Co, f *file.File, r *file.Request) error {
	var refused error
	var over func() // ends the Wait that goes on
	r.Done = func(*file.Request) { over() }
	err := co.Wait(func(done func()) {
		over = done
		if refused = f.Read(r); refused != nil {
			done()
		}
	})
	switch {
	case refused != nil:
		return refused
	case err == nil:
		return r.Err
	case over == nil: // the Wait has failed before it began
		return err
	}
	_ = r.Cancel()
	return errors.Join(err, co.With(context.WithoutCancel(co.Context()), func() error {
		return co.Wait(func(done func()) { over = done })
	}))
}

// readerOf returns a Request whose end wakes co, for readQuick.
func readerOf(co *coroutine.Co, buf []byte) *file.Request {
	return &file.Request{Buf: buf, Done: func(*file.Request) { _ = co.Wake() }}
}

// readQuick is read for the Request of readerOf, and allocates nothing. Each request has one Wake,
// and each Wake is taken by one Yield: by the first one, or by the one that follows Cancel.
func readQuick(co *coroutine.Co, f *file.File, r *file.Request) error {
	if err := f.Read(r); err != nil {
		return err
	}
	if err := co.Yield(); err != nil {
		_ = r.Cancel()
		return errors.Join(err, co.With(context.WithoutCancel(co.Context()), co.Yield))
	}
	return r.Err
}

// eachRead runs f for both forms, on all backends, with each engine that there is.
func eachRead(t *testing.T, f func(t *testing.T, loop *aio.Context, open opener, form string)) {
	for _, engine := range []file.Engine{file.EngineAuto, file.EngineThreads, file.EngineIOUring} {
		for _, form := range []string{"Wait", "Wake and Yield"} {
			t.Run(fmt.Sprint(form, "/", engine), func(t *testing.T) {
				eachLoop(t, func(t *testing.T, loop *aio.Context) {
					f(t, loop, func(contents []byte, opts ...file.Option) *file.File {
						return openFile(t, loop, contents, append(opts, file.WithEngine(engine))...)
					}, form)
				})
			})
		}
	}
}

// opener makes a file, opens it, and closes it at the end of the test.
type opener func(contents []byte, opts ...file.Option) *file.File

func openFile(t *testing.T, loop *aio.Context, contents []byte, opts ...file.Option) *file.File {
	name := filepath.Join(t.TempDir(), "data")
	must(t, os.WriteFile(name, contents, 0o600))
	f, err := file.Open(loop, name, os.O_RDONLY, opts...)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() {
		if err := f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	return f
}

// TestReadInACoroutine reads a file to its end.
func TestReadInACoroutine(t *testing.T) {
	contents := bytes.Repeat([]byte("sixteen bytes..."), 1000)
	eachRead(t, func(t *testing.T, loop *aio.Context, open opener, form string) {
		f := open(contents)
		var got []byte
		co := coroutine.Go(loop, func(co *coroutine.Co) error {
			r := readerOf(co, make([]byte, 4096))
			for {
				err := readWith(form, co, f, r)
				got = append(got, r.Buf[:r.N]...)
				r.Offset += r.N
				if err != nil {
					return err
				}
			}
		})
		pollUntil(t, loop, co.Ended)
		wantError(t, co.Err(), io.EOF)
		if !bytes.Equal(got, contents) {
			t.Errorf("%d bytes were read, of %d", len(got), len(contents))
		}
		refused := coroutine.Go(loop, func(co *coroutine.Co) error {
			r := readerOf(co, make([]byte, 1))
			r.Offset = -1
			return readWith(form, co, f, r)
		})
		wantError(t, refused.Err(), unix.EINVAL)
	})
}

func readWith(form string, co *coroutine.Co, f *file.File, r *file.Request) error {
	if form == "Wait" {
		return read(co, f, r)
	}
	return readQuick(co, f, r)
}

// TestCancelledReadInACoroutine: when the wait of a read has failed, the request is over before the
// buffer is used for something else, whether it was cancelled or has come to its end.
func TestCancelledReadInACoroutine(t *testing.T) {
	large := make([]byte, 4<<20)
	eachRead(t, func(t *testing.T, loop *aio.Context, open opener, form string) {
		f := open(large, file.WithDepth(1))
		cause := errors.New("the cause")
		failed := 0
		for round := 0; failed == 0; round++ {
			ctx, cancel := context.WithCancelCause(context.Background())
			first := &file.Request{Buf: large, Done: func(*file.Request) {}}
			must(t, f.Read(first)) // the other one waits for that
			co := coroutine.GoContext(ctx, loop, func(co *coroutine.Co) error {
				r := readerOf(co, make([]byte, 100))
				err := readWith(form, co, f, r)
				again := co.With(context.Background(), func() error { // EBUSY if it is not over
					r.Done = func(*file.Request) { _ = co.Wake() }
					return readQuick(co, f, r)
				})
				if again != nil {
					t.Errorf("the Request is not the caller's: %v", again)
				}
				return err
			})
			cancel(cause)
			pollUntil(t, loop, co.Ended)
			switch {
			case errors.Is(co.Err(), cause):
				failed++
			case co.Err() != nil || round > 10_000:
				t.Fatalf("round %d: %v", round, co.Err())
			}
		}
	})
}

// TestCloseDuringReadInACoroutine: the read ends with an error, and Close names the file.
func TestCloseDuringReadInACoroutine(t *testing.T) {
	eachRead(t, func(t *testing.T, loop *aio.Context, open opener, form string) {
		f := open(make([]byte, 1<<20))
		co := coroutine.Go(loop, func(co *coroutine.Co) error {
			return readWith(form, co, f, readerOf(co, make([]byte, 1<<20)))
		})
		var leak *aio.LeakError
		if err := loop.Close(); !errors.As(err, &leak) {
			t.Errorf("Close: %v", err)
		}
		if fd := f.FD(); fd >= 0 { // Close leaves the descriptor of a request that is under way
			must(t, unix.Close(fd))
		}
		if err := co.Err(); !errors.Is(err, aio.ErrClosed) && !errors.Is(err, unix.ECANCELED) {
			t.Errorf("the read: %v", co)
		}
	})
}

// TestReadQuickAllocatesNothing: neither the request, nor its end, nor the wait.
func TestReadQuickAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	loop := newLoop(t, aio.WithBackend(aio.Epoll))
	f := openFile(t, loop, make([]byte, 512))
	reads := 0
	co := coroutine.Go(loop, func(co *coroutine.Co) error {
		for r := readerOf(co, make([]byte, 512)); ; reads++ {
			if err := readQuick(co, f, r); err != nil {
				return err
			}
		}
	})
	read := func() {
		for before := reads; reads == before; { // an iteration may make no progress
			if _, err := loop.Poll(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := testing.AllocsPerRun(1000, read); n != 0 {
		t.Errorf("%v allocations for a read", n)
	}
	must(t, f.Close())
	pollUntil(t, loop, co.Ended)
	wantError(t, co.Err(), os.ErrClosed)
}

// exampleFile returns a file of the loop with the contents, and how to remove it.
func exampleFile(loop *aio.Context, contents string) (f *file.File, remove func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	name := filepath.Join(dir, "data")
	if err := os.WriteFile(name, []byte(contents), 0o600); err != nil {
		log.Fatal(err)
	}
	if f, err = file.Open(loop, name, os.O_RDONLY); err != nil {
		log.Fatal(err)
	}
	return f, func() { f.Close(); os.RemoveAll(dir) }
}

// A read of a file is a line: Wait makes one of whatever calls back.
func ExampleCo_Wait() {
	loop := exampleLoop()
	defer loop.Close()
	f, remove := exampleFile(loop, "hello, world")
	defer remove()
	coroutine.Go(loop, func(co *coroutine.Co) error {
		r := &file.Request{Buf: make([]byte, 5), Offset: 7}
		err := co.Wait(func(done func()) {
			r.Done = func(*file.Request) { done() }
			if r.Err = f.Read(r); r.Err != nil { // it was refused, and there is no Done
				done()
			}
		})
		if err != nil {
			return err
		}
		fmt.Printf("%q %v\n", r.Buf[:r.N], r.Err)
		return r.Err
	})
	_ = loop.RunUntilDone(context.Background())
	// Output: "world" <nil>
}

// On a hot path, the end of the request wakes the coroutine, which allocates nothing. When the wait
// fails, the request goes on with its buffer: it is cancelled, and its end waited for.
func ExampleCo_Yield() {
	loop := exampleLoop()
	defer loop.Close()
	f, remove := exampleFile(loop, "hello, world")
	defer remove()
	coroutine.Go(loop, func(co *coroutine.Co) error {
		r := &file.Request{Buf: make([]byte, 5), Done: func(*file.Request) { _ = co.Wake() }}
		for {
			if err := f.Read(r); err != nil {
				return err
			}
			if err := co.Yield(); err != nil {
				_ = r.Cancel()
				return errors.Join(err, co.With(context.WithoutCancel(co.Context()), co.Yield))
			}
			fmt.Printf("%q %v\n", r.Buf[:r.N], r.Err)
			if r.Err != nil {
				return r.Err
			}
			r.Offset += r.N
		}
	})
	_ = loop.RunUntilDone(context.Background())
	// Output:
	// "hello" <nil>
	// ", wor" <nil>
	// "ld" EOF
}
