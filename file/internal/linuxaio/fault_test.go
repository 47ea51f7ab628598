//go:build linux

package linuxaio

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/sys"
)

func TestOpenNamesTheCause(t *testing.T) {
	loop, err := aio.New(aio.WithBackend(aio.Epoll))
	must(t, err)
	defer loop.Close()
	for _, c := range []struct {
		errno       unix.Errno
		unsupported bool
		words       string
	}{
		{unix.EAGAIN, false, "fs.aio-max-nr ("},
		{unix.ENOMEM, false, "128 requests"},
		{unix.EINVAL, false, "128 requests"},
		{unix.ENOSYS, true, "io_setup"},
		{unix.EPERM, true, "io_setup"},
		{unix.EACCES, true, "io_setup"},
		{unix.EXFULL, true, "io_setup"},
	} {
		restore := failing(t, sys.CallIoSetup, 1, c.errno)
		_, err := Open(loop, Depth)
		restore()
		if !errors.Is(err, c.errno) || errors.Is(err, errors.ErrUnsupported) != c.unsupported || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%v: %v", c.errno, err)
		}
	}
	restore := failing(t, sys.CallEventfd, 1, unix.EMFILE)
	_, err = Open(loop, Depth)
	wantError(t, err, unix.EMFILE)
	restore()
	failing(t, sys.CallEpollCtl, 1, unix.ENOSPC)
	_, err = Open(loop, Depth)
	wantError(t, err, unix.ENOSPC)
}

// The kernel's own refusals, of depths without sense and of more than it allows.
func TestOpenRefusesDepths(t *testing.T) {
	loop, err := aio.New(aio.WithBackend(aio.Epoll))
	must(t, err)
	for depth, want := range map[int]error{0: unix.EINVAL, -1: unix.EINVAL, 4_000_000: unix.EAGAIN} {
		_, err := Open(loop, depth)
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip("skipped:", err)
		}
		if depth == 0 && errors.Is(err, unix.EAGAIN) { // what it says depends on the kernel
			continue
		}
		wantError(t, err, want)
	}
	must(t, loop.Close())
	_, err = Open(loop, 4)
	wantError(t, err, aio.ErrClosed)
}

// Whatever the kernel says to a request, it completes once, and so do all others.
func TestSubmitFails(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EAGAIN, unix.ENOMEM, unix.EINTR, unix.EBADF, unix.EFAULT, unix.EINVAL, unix.ENOSYS, unix.EPERM, unix.EOPNOTSUPP} {
		for _, times := range []int{1, 2, 5} {
			r := epoll(t, 8)
			all := reads(t, patterns(t), 30)
			restore := failing(t, sys.CallIoSubmit, times, errno)
			r.finish(all...)
			restore()
			bad := 0
			for i, request := range all {
				if request.Result == -int64(errno) {
					bad++
				} else {
					checkReads(t, all[i:i+1])
				}
			}
			want := times
			if isTransient(errno) {
				want = 0
			}
			if bad != want {
				t.Errorf("%v, %d times: %d requests end with it", errno, times, bad)
			}
			r.idle()
		}
	}
}

// The kernel takes fewer than there are, and refuses for the moment in between.
func TestSubmitTakesFew(t *testing.T) {
	eachWay(t, func(t *testing.T, newRig func(int) *rig) {
		r := newRig(16)
		all := reads(t, patterns(t), 60)
		calls := 0
		inject(t, func(c sys.Call) (f sys.Fault) {
			if c == sys.CallIoSubmit || c == sys.CallIoGetevents {
				calls++
				f.Room = 1 + calls%3
				if calls%4 == 0 && c == sys.CallIoSubmit {
					f.Errno = unix.EAGAIN
				}
			}
			return f
		})
		r.finish(all...)
		checkReads(t, all)
		r.idle()
	})
}

// A refusal for the moment is asked about again when something completes, not all the time.
func TestRefusedForTheMomentDoesNotSpin(t *testing.T) {
	r := epoll(t, 8)
	fd, write := pipe(t)
	done := false
	r.poll(&Request{Done: func(*Request) { done = true }}, fd)
	all := reads(t, patterns(t), 5)
	calls, full := 0, true
	inject(t, func(c sys.Call) (f sys.Fault) {
		if c == sys.CallIoSubmit {
			if calls++; full {
				f.Errno = unix.EAGAIN
			}
		}
		return f
	})
	read := 0
	for _, request := range all {
		request.Done = func(*Request) { read++ }
	}
	r.submit(all...)
	over := false
	_, err := r.loop.AfterFunc(30e6, func() { over = true })
	must(t, err)
	if r.until(func() bool { return over }); calls != 1 {
		t.Errorf("%d calls while the kernel has something", calls)
	}
	full = false
	_, err = unix.Write(write, []byte("x"))
	must(t, err)
	if r.until(func() bool { return read == len(all) }); !done || calls != 2 {
		t.Errorf("%d calls", calls)
	}
	checkReads(t, all)
	r.idle()
}

// A kernel that takes nothing for a second, and has nothing, does not hold requests forever.
func TestRefusedForever(t *testing.T) {
	r := epoll(t, 8)
	all := reads(t, patterns(t), 5)
	restore := failing(t, sys.CallIoSubmit, 1<<30, unix.EAGAIN)
	calls := 0
	for _, request := range all {
		request.Done = func(q *Request) {
			if calls++; q.Result != -int64(unix.EAGAIN) {
				t.Errorf("it ends with %d", q.Result)
			}
		}
	}
	r.submit(all...)
	r.until(func() bool { return r.engine.tries >= 3 })
	if calls > 0 {
		t.Error("it gives up soon")
	}
	r.engine.tries = patience - 3
	r.until(func() bool { return calls == len(all) })
	restore()
	r.finish(all...)
	if checkReads(t, all); r.engine.tries != 0 {
		t.Error("what was refused before counts")
	}
	r.idle()
}

// Where the ring cannot be read, completions that the kernel keeps back come later.
func TestGeteventsFails(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EINTR, unix.EAGAIN, unix.EINVAL, unix.EFAULT, unix.ENOSYS, unix.EPERM} {
		r := newRig(t, 8, true, aio.WithBackend(aio.Epoll), aio.WithMode(aio.ModeThread))
		all := reads(t, patterns(t), 30)
		restore := failing(t, sys.CallIoGetevents, 7, errno)
		r.finish(all...)
		restore()
		checkReads(t, all)
		r.idle()
	}
}

// If neither is possible, there is no Engine.
func TestNeitherRingNorGetevents(t *testing.T) {
	k, err := openKernel(4)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("skipped:", err)
	}
	must(t, err)
	(*ringHeader)(k.context).incompat = 1
	if _, ok := viewRing(k.context); ok {
		t.Error("a ring of another kind is read")
	}
	k.ring = ring{}
	if _, err := k.ask(); err != nil {
		t.Error(err)
	}
	failing(t, sys.CallIoGetevents, 1<<30, unix.EINTR)
	if _, err := k.ask(); err != unix.EINTR {
		t.Errorf("interrupted forever: %v", err)
	}
	must(t, k.destroy())
}

func TestCancelFails(t *testing.T) {
	r := epoll(t, 8)
	all := reads(t, patterns(t), 8)
	failing(t, sys.CallIoCancel, 1<<30, unix.EPERM)
	done := 0
	for _, request := range all {
		request.Done = func(*Request) { done++ }
		must(t, r.engine.Submit(request))
		r.engine.Cancel(request)
	}
	r.until(func() bool { return done == len(all) })
	checkReads(t, all)
}
