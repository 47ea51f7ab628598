//go:build linux

package aio_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/testkit"
)

// The examples choose the backend that is best here, and go test compares what they print. The
// recipes among them print the same on each backend. None imports package net: that brings cgo
// along, whose system calls the tests that count them would see.
func TestRecipesOnEachBackend(t *testing.T) {
	for name, example := range map[string]func(){
		"os.File": ExampleContext_Watch_osFile, "netlink": ExampleContext_Watch_netlink,
		"serial line": ExampleHandler_Want_serial, "foreign loop": ExampleContext_Query,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat("/dev/ptmx"); name == "serial line" && err != nil {
				t.Skip("skipped: no pseudo-terminals:", err)
			}
			want := printed(t, example)
			for _, b := range []aio.Backend{aio.Ppoll, aio.Epoll, aio.IOUring} {
				t.Run("backend="+b.String(), func(t *testing.T) {
					t.Setenv(aio.BackendEnv, b.String())
					if loop, err := aio.New(); errors.Is(err, backend.ErrUnavailable) {
						t.Skip("skipped:", err)
					} else if err != nil || loop.Backend().Name != b.String() || loop.Close() != nil {
						t.Fatal("the environment does not choose the backend:", err)
					}
					if got := printed(t, example); got != want || got == "" {
						t.Errorf("it prints\n%s\nand not\n%s", got, want)
					}
				})
			}
		})
	}
}

// printed returns what an example prints. It fits into a pipe.
func printed(t *testing.T, example func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	stdout := os.Stdout
	os.Stdout = w
	func() {
		defer func() { os.Stdout = stdout; w.Close() }()
		example()
	}()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What docs/recipes.md says of Go: SyscallConn leaves a file as it is, Fd makes it block.
func TestFdMakesAFileBlock(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	fd, err := duplicate(r)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if !nonBlocking(t, fd) {
		t.Error("the file blocks after SyscallConn")
	}
	r.Fd()
	if nonBlocking(t, fd) {
		t.Error("Fd has left the file non-blocking: docs/recipes.md says that it does not")
	}
}

func nonBlocking(t *testing.T, fd int) bool {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		t.Fatal(err)
	}
	return flags&unix.O_NONBLOCK != 0
}

// TestLinksReportsChanges sets an interface up and down again, in a network namespace that
// only this thread has.
func TestLinksReportsChanges(t *testing.T) {
	for _, b := range []aio.Backend{aio.Ppoll, aio.Epoll, aio.IOUring} {
		t.Run("backend="+b.String(), func(t *testing.T) {
			var missing, err error
			done := make(chan struct{})
			go func() {
				defer close(done)
				runtime.LockOSThread() // it ends with the goroutine, and the namespace with it
				if e := unix.Unshare(unix.CLONE_NEWNET); e != nil {
					missing = fmt.Errorf("no network namespace (CAP_SYS_ADMIN): %w", e)
					return
				}
				if err = followLo(b); errors.Is(err, backend.ErrUnavailable) {
					missing = err
				}
			}()
			<-done
			if missing != nil {
				t.Skip("skipped:", missing)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// followLo changes the interface lo and returns nil when the changes were reported.
func followLo(b aio.Backend) (err error) {
	loop, err := aio.New(aio.WithBackend(b))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, loop.Close()) }()
	l, err := openLinks()
	if err != nil {
		return err
	}
	defer unix.Close(l.fd)
	states := []bool{true, false}
	_, err = loop.Watch(l.fd, aio.Callbacks{Read: func(h *aio.Handler) {
		messages, _ := l.receive()
		for _, m := range messages {
			if len(states) == 0 || m.Header.Type != unix.RTM_NEWLINK || name(&m) != "lo" {
				continue
			}
			const flags = 8 // of struct ifinfomsg
			if up := binary.NativeEndian.Uint32(m.Data[flags:])&unix.IFF_UP != 0; up == states[0] {
				states = states[1:]
			}
		}
		if len(states) == 0 {
			h.Close()
		}
	}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), testkit.Patience, errors.New("not all changes were reported"))
	defer cancel()
	for _, flags := range []uint16{unix.IFF_UP, 0} {
		if err := setLo(flags); err != nil {
			return err
		}
	}
	return errors.Join(loop.RunUntilDone(ctx), context.Cause(ctx))
}

func setLo(flags uint16) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(flags)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr)
}
