package aio

import (
	"sync"
	"time"

	"github.com/aioloop/aioloop/backend"
)

// scriptedPoller is a stranger's Poller: it passes everything on to another one,
// hides what that can do besides, and can invent events and errors.
type scriptedPoller struct {
	backend.Poller
	spurious int   // a descriptor for which the next Wait invents readiness, 0: none
	fail     error // what the next Wait fails with
	refuse   error // what each Add of a handler fails with
	closed   int
	waits    int

	mu   sync.Mutex // guards tags
	tags map[int]backend.Tag
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

func (p *scriptedPoller) Wait(ready []backend.Ready, timeout time.Duration) (int, error) {
	p.waits++
	if err := p.fail; err != nil {
		p.fail = nil
		return 0, err
	}
	if fd := p.spurious; fd != 0 {
		p.spurious = 0
		p.mu.Lock()
		defer p.mu.Unlock()
		ready[0] = backend.Ready{Tag: p.tags[fd], Events: backend.In}
		return 1, nil
	}
	return p.Poller.Wait(ready, timeout)
}

func (p *scriptedPoller) Close() error {
	p.closed++
	return p.Poller.Close()
}
