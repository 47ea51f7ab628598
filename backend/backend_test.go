package backend_test

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

func TestTag(t *testing.T) {
	tag := backend.MakeTag(7, 1<<32-1)
	if tag.Index() != 7 || tag.Generation() != 1<<32-1 {
		t.Errorf("index %d, generation %d", tag.Index(), tag.Generation())
	}
}

func TestEventsString(t *testing.T) {
	for events, want := range map[backend.Events]string{
		0:                                       "0",
		backend.In | backend.Out | backend.Edge: "in|out|edge",
		backend.Hup | 1<<20:                     "hup|0x100000",
		1 << 20:                                 "0x100000",
	} {
		if got := events.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestEventsCheck(t *testing.T) {
	for bit := backend.Events(1); bit != 0; bit <<= 1 {
		valid := bit&(backend.In|backend.Pri|backend.Out|backend.RdHup|backend.Edge) != 0
		if err := bit.Check(); (err == nil) != valid {
			t.Errorf("%v: %v", bit, err)
		}
	}
}

func TestErrorsTellWhatToDo(t *testing.T) {
	for errno, want := range map[unix.Errno]string{
		unix.EBADF:  "not open",
		unix.EEXIST: "registered already",
		unix.ENOENT: "not registered",
		unix.EINVAL: "cannot be asked for",
		unix.ENOSPC: "max_user_watches",
		unix.ENOMEM: "add fd 5",
	} {
		err := error(&backend.FDError{Backend: "epoll", Op: "add", FD: 5, Err: errno})
		if !errors.Is(err, errno) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: the message %q lacks %q", errno, err, want)
		}
	}
}

func TestUnavailableErrorWrapsEverything(t *testing.T) {
	err := error(&backend.UnavailableError{
		Backend: "io_uring", Op: "io_uring_setup", Err: unix.EPERM,
		Causes: []error{backend.ErrSysctl, backend.ErrSeccomp}, Advice: "do this",
	})
	for _, target := range []error{backend.ErrUnavailable, backend.ErrSysctl, backend.ErrSeccomp, unix.EPERM} {
		if !errors.Is(err, target) {
			t.Errorf("%v is not %v", err, target)
		}
	}
	want := "io_uring is not available here: io_uring_setup: operation not permitted: " +
		backend.ErrSysctl.Error() + ", or " + backend.ErrSeccomp.Error() + "; do this"
	if err.Error() != want {
		t.Errorf("got  %q\nwant %q", err, want)
	}
}

func TestCompletionErr(t *testing.T) {
	if err := (&backend.Request{Result: 5}).Err(); err != nil {
		t.Error(err)
	}
	if err := (&backend.Request{Result: -int32(unix.ECANCELED)}).Err(); err != unix.ECANCELED {
		t.Errorf("got %v, want ECANCELED", err)
	}
}
