package aio

import (
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTryReadAndTryWrite(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		a, b := sockets(t)
		h := watch(t, c, a, Callbacks{Read: func(*Handler) {}})
		buf := make([]byte, 4)
		try := func(f func([]byte) (int, error), with []byte, n int, want error) {
			t.Helper()
			if got, err := f(with); got != n || !errors.Is(err, want) {
				t.Errorf("%d, %v; want %d, %v", got, err, n, want)
			}
		}
		try(h.TryRead, buf, 0, nil)
		write(t, b, "abcdef")
		try(h.TryRead, nil, 0, nil)
		try(h.TryRead, buf, 4, nil)
		try(h.TryRead, buf, 2, nil)
		try(h.TryWrite, []byte("xyz"), 3, nil)
		if got := read(b, 3); got != "xyz" {
			t.Errorf("%q arrived", got)
		}
		fill(t, a)
		try(h.TryWrite, []byte("x"), 0, nil)
		must(t, unix.Shutdown(b, unix.SHUT_RDWR))
		try(h.TryRead, buf, 0, io.EOF)
		try(h.TryWrite, []byte("x"), 0, unix.EPIPE)
		must(t, h.Close())
		try(h.TryRead, buf, 0, ErrClosed)
		try(h.TryWrite, buf, 0, ErrClosed)
	})
}

// A file that only its handler refers to stays open, and non-blocking.
func TestWatchConnKeepsTheFile(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		got := ""
		h, w := func() (*Handler, *os.File) {
			r, w, err := os.Pipe()
			must(t, err)
			h, err := c.WatchConn(r, Callbacks{Read: func(h *Handler) {
				b := make([]byte, 8)
				n, err := h.TryRead(b)
				must(t, err)
				got += string(b[:n])
			}})
			must(t, err)
			must(t, h.Change(Callbacks{Read: h.cb.Load().read})) // it is kept by the new callbacks, too
			return h, w
		}()
		for range 5 {
			runtime.GC()
		}
		if !nonBlocking(t, h.FD()) {
			t.Error("the descriptor blocks")
		}
		_, err := w.WriteString("hello")
		must(t, err)
		pollUntil(t, c, func() bool { return got == "hello" })
		conn := h.cb.Load().conn.(*os.File)
		must(t, h.Close())
		must(t, errors.Join(w.Close(), conn.Close()))
	})
}

func nonBlocking(t *testing.T, fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	must(t, err)
	return flags&unix.O_NONBLOCK != 0
}

func TestWatchConnThatIsClosed(t *testing.T) {
	c := newLoopOn(t, Epoll)
	r, w, err := os.Pipe()
	must(t, err)
	must(t, errors.Join(r.Close(), w.Close()))
	_, err = c.WatchConn(r, Callbacks{Read: func(*Handler) {}})
	if err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("%v", err)
	}
	_, err = c.WatchConn(r, Callbacks{})
	wantError(t, err, ErrNoCallback)
}

// The loop reads beside the deadlines and readers of Go.
func TestWatchConnBesideGo(t *testing.T) {
	c := newLoopOn(t, Epoll)
	r, w, err := os.Pipe()
	must(t, err)
	defer func() { must(t, errors.Join(r.Close(), w.Close())) }()
	must(t, r.SetReadDeadline(time.Now().Add(-time.Second)))
	n := 0
	h, err := c.WatchConn(r, Callbacks{Read: func(h *Handler) {
		var b [8]byte
		k, err := h.TryRead(b[:])
		must(t, err)
		n += k
	}})
	must(t, err)
	_, err = w.WriteString("abc")
	must(t, err)
	pollUntil(t, c, func() bool { return n == 3 })
	must(t, h.Close())
}

// A buffer of the caller may lie on its stack.
func TestTryReadDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has buffers escape")
	}
	c := newLoopOn(t, Epoll)
	a, b := sockets(t)
	h := watch(t, c, a, Callbacks{Read: func(*Handler) {}})
	if n := testing.AllocsPerRun(100, func() {
		var buf [256]byte
		write(t, b, "x")
		if n, err := h.TryRead(buf[:]); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}); n > 1 { // that of write
		t.Errorf("%v allocations", n)
	}
}
