//go:build linux

// Package park is how a loop sleeps without a thread: its goroutine waits for a token.
package park

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/goroutine"
	"github.com/aioloop/aioloop/internal/sys"
)

// Poller is what a loop can park on.
type Poller interface {
	backend.Poller
	backend.Pollable
}

// Parker is park mode. It belongs to the home goroutine, but for Wake.
//
// Two put the token. A notifier that is about to stop running does so without a system
// call; for others the write to the loop's eventfd is the faster way, see IsStopping. The
// watcher, a goroutine that waits in the runtime's poller, puts it when the Poller's
// descriptor becomes readable: by an event, by the alarm, or by that eventfd.
type Parker struct {
	poller   Poller
	token    chan struct{} // has room for one
	readable atomic.Bool   // the descriptor has become so since the Poller was asked
	edge     bool          // the alarm need not be read
	alarm    alarm
	mark     *Mark // the home goroutine's, nil while it does not run

	fd      int      // the descriptor that is watched, -1 before the first sleep
	file    *os.File // a duplicate of it, in the hands of the runtime's poller
	watcher sync.WaitGroup
}

// New returns a Parker for the loop that waits with p. If edge, an event of p need not be
// read.
func New(p Poller, edge bool) *Parker {
	k := &Parker{poller: p, edge: edge, token: make(chan struct{}, 1), fd: -1, alarm: alarm{fd: -1}}
	if _, peeks := p.(backend.Peeker); peeks { // io_uring, where events depend on a thread
		k.alarm.wake = k.Wake
	}
	return k
}

// Prepare makes the Poller's descriptor stand for all that ends the next sleep. If forever,
// no timeout does.
func (p *Parker) Prepare(forever bool) error {
	if !forever {
		if err := p.alarm.open(p.poller); err != nil {
			return err
		}
	}
	if err := p.Watch(); err != nil {
		return err
	}
	return p.poller.Flush()
}

// Sleep waits for the token, or until the deadline on the Monotonic clock. A negative
// deadline never comes.
func (p *Parker) Sleep(deadline time.Duration) error {
	if err := p.alarm.set(deadline); err != nil {
		return err
	}
	p.Yield()
	<-p.token
	p.Resume()
	return nil
}

// Readable reports whether the Poller's descriptor has become readable since Ask.
func (p *Parker) Readable() bool { return p.readable.Load() }

// Ask collects what the Poller knows, without the alarm's event. If the Poller has replaced
// its descriptor, the watcher follows immediately: the next one may have the number of the
// first.
func (p *Parker) Ask(ready []backend.Ready) (n int, err error) {
	p.readable.Store(false) // first: what comes later must not be forgotten
	n, err = p.poller.Wait(ready, 0)
	if err != nil || n == len(ready) {
		p.readable.Store(true) // nor what was not collected, or had no room
	}
	if err == nil && n >= 0 && n <= len(ready) {
		n = p.alarm.take(ready[:n], p.edge)
	}
	if e := p.Watch(); e != nil {
		err = errors.Join(err, e)
	}
	return n, err
}

// Wake ends the sleep, or the next one if there is none. Any goroutine may call it at any
// time.
func (p *Parker) Wake() {
	select {
	case p.token <- struct{}{}:
	default:
	}
}

// Resume and Yield say that the home goroutine runs, or not: while it runs it is about to
// stop, because it returns to its loop.
func (p *Parker) Resume() {
	if p.mark == nil {
		p.mark = MarkStopping(uintptr(goroutine.Current()))
	}
}

// Yield undoes Resume.
func (p *Parker) Yield() {
	p.mark.Clear()
	p.mark = nil
}

// Watch starts the watcher, or starts it again after the Poller has replaced its descriptor.
func (p *Parker) Watch() error {
	if p.fd == p.poller.PollFD() {
		return nil
	}
	if err := p.stopWatcher(); err != nil {
		return err
	}
	return p.startWatcher()
}

func (p *Parker) startWatcher() error {
	fd := p.poller.PollFD()
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	sys.OpenedDuplicate(dup)
	if err := unix.SetNonblock(dup, true); err != nil { // or os.NewFile would keep it from the runtime
		return errors.Join(os.NewSyscallError("fcntl", err), unix.Close(dup))
	}
	file := os.NewFile(uintptr(dup), "aio.Context")
	conn, err := file.SyscallConn()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	p.fd, p.file = fd, file
	p.readable.Store(true) // what has happened before
	p.watcher.Add(1)
	go p.watch(conn)
	return nil
}

// watch passes on that the descriptor has become readable, until it is closed.
func (p *Parker) watch(conn syscall.RawConn) {
	defer p.watcher.Done()
	_ = conn.Read(func(uintptr) (done bool) {
		p.readable.Store(true) // before the token: the loop looks at it after that
		p.Wake()
		return false
	})
}

func (p *Parker) stopWatcher() error {
	if p.fd < 0 {
		return nil
	}
	p.fd = -1
	err := p.file.Close()
	p.watcher.Wait()
	return err
}

// Close is called when no goroutine parks any more; the Poller is still open.
func (p *Parker) Close() error { return errors.Join(p.stopWatcher(), p.alarm.close()) }
