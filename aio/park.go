//go:build linux

package aio

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
)

// parker is park mode: the home goroutine waits for a token.
//
// Two put it there. A notifier that is about to stop running does, without a
// system call; to others the write to the eventfd is the faster way, see
// aboutToYield. And a goroutine that waits in the runtime's poller, the watcher,
// does when the Poller's descriptor becomes readable: by an event, by the alarm, or
// by that eventfd.
type parker struct {
	poller   backend.Poller
	pollable backend.Pollable
	token    chan struct{} // has room for one
	readable atomic.Bool   // the descriptor has become so since the Poller was asked
	edge     bool          // the alarm need not be read
	alarm    alarm

	yielder *yielder // the home goroutine's, nil while it does not run

	fd      int      // the descriptor that is watched, -1 before the first sleep
	file    *os.File // a duplicate of it, in the hands of the runtime's poller
	watcher sync.WaitGroup
}

func newParker(p backend.Poller, pollable backend.Pollable, edge bool) *parker {
	k := &parker{poller: p, pollable: pollable, edge: edge, token: make(chan struct{}, 1), fd: -1, alarm: alarm{fd: -1}}
	if _, peeks := p.(backend.Peeker); peeks { // io_uring, where events depend on a thread
		k.alarm.wake = k.wake
	}
	return k
}

// park is the Wait of park mode. Only that the Poller's descriptor *becomes* readable wakes
// the loop, so it asks for what is there before it sleeps.
func (c *Context) park(timeout time.Duration) (events []backend.Ready, err error) {
	for deadline := sys.Deadline(timeout); ; timeout = sys.Until(deadline) {
		if err := c.port.prepareToPark(timeout); err != nil {
			return nil, err
		}
		if !c.port.unasked() {
			if err := c.port.sleepParked(deadline); err != nil {
				return nil, err
			}
		}
		if c.port.unasked() {
			events, err = c.port.ask()
			if c.operations.underWay() {
				c.operations.reap(&c.port)
			}
		}
		if len(events) > 0 || err != nil || c.operations.busy() || c.gate.Kicked() || sys.Until(deadline) == 0 {
			return events, err
		} // else it was the token of an earlier event
	}
}

// sleep waits for the token, or until the deadline.
func (p *parker) sleep(deadline time.Duration) error {
	if err := p.alarm.set(deadline); err != nil {
		return err
	}
	p.yield()
	<-p.token
	p.resume()
	return nil
}

// ask collects what the Poller knows, but for the alarm's going off. If the Poller has
// replaced its descriptor, the watcher follows at once: the next one may have the number
// of the first.
func (p *parker) ask(ready []backend.Ready) (n int, err error) {
	p.readable.Store(false) // before: what comes later must not be forgotten
	n, err = p.poller.Wait(ready, 0)
	if err != nil || n == len(ready) {
		p.readable.Store(true) // nor what could not be collected, or had no room
	}
	n = p.alarm.take(ready[:n], p.edge)
	if e := p.attend(); e != nil {
		err = errors.Join(err, e)
	}
	return n, err
}

// wake ends the sleep, or the next one if there is none. Any goroutine may call it
// at any time.
func (p *parker) wake() {
	select {
	case p.token <- struct{}{}:
	default:
	}
}

// attend has the Poller's descriptor watched, also after it has changed.
func (p *parker) attend() error {
	if p == nil || p.fd == p.pollable.PollFD() {
		return nil
	}
	if err := p.dismiss(); err != nil {
		return err
	}
	fd := p.pollable.PollFD()
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
func (p *parker) watch(conn syscall.RawConn) {
	defer p.watcher.Done()
	_ = conn.Read(func(uintptr) (done bool) {
		p.readable.Store(true)
		p.wake()
		return false
	})
}

func (p *parker) dismiss() error {
	if p.fd < 0 {
		return nil
	}
	p.fd = -1
	err := p.file.Close()
	p.watcher.Wait()
	return err
}

// close is called when nobody can be parked any more; the Poller is still open.
func (p *parker) close() error {
	if p == nil {
		return nil
	}
	return errors.Join(p.dismiss(), p.alarm.close())
}
