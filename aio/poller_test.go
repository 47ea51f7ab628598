package aio

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/aioloop/aioloop/backend"
)

// scriptedPoller is a stranger's Poller: it passes everything on to another one,
// hides what else that can do, and can invent events and errors.
type scriptedPoller struct {
	backend.Poller
	invent *backend.Ready // what the next Wait reports
	fail   error          // what the next Wait fails with
	refuse error          // what each Add fails with
	closed int

	mu   sync.Mutex // guards tags
	tags map[int]backend.Tag
}

// lockThread keeps the test on one thread, which is up to a stranger whose Poller
// uses io_uring and does not say so with Bind.
func lockThread(t testing.TB) {
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
}

func (p *scriptedPoller) Name() string { return "scripted" }

func (p *scriptedPoller) Add(fd int, ev backend.Events, tag backend.Tag) error {
	if p.refuse != nil {
		return p.refuse
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tags == nil {
		p.tags = make(map[int]backend.Tag)
	}
	p.tags[fd] = tag
	return p.Poller.Add(fd, ev, tag)
}

// readable is an event for what is registered for fd now.
func (p *scriptedPoller) readable(fd int) *backend.Ready {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &backend.Ready{Tag: p.tags[fd], Events: backend.In}
}

func (p *scriptedPoller) Wait(ready []backend.Ready, timeout time.Duration) (int, error) {
	if err := p.fail; err != nil {
		p.fail = nil
		return 0, err
	}
	if event := p.invent; event != nil {
		p.invent = nil
		ready[0] = *event
		return 1, nil
	}
	return p.Poller.Wait(ready, timeout)
}

func (p *scriptedPoller) Close() error {
	p.closed++
	return p.Poller.Close()
}
