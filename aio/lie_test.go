package aio

import (
	"strings"
	"testing"
	"time"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/epoll"
	"github.com/aioloop/aioloop/backend/ppoll"
)

// falsePoller breaks the contract once.
type falsePoller struct {
	backend.Poller
	wait func(ready []backend.Ready) int
	done []backend.Completion
	tags []backend.Tag // of what was submitted
	n    int           // what Completions returns if it is not 0
}

func (p *falsePoller) Name() string { return "false" }

func (p *falsePoller) Wait(ready []backend.Ready, timeout time.Duration) (int, error) {
	if wait := p.wait; wait != nil {
		p.wait = nil
		return wait(ready), nil
	}
	return p.Poller.Wait(ready, timeout)
}

func (p *falsePoller) Submit(_ backend.Operation, tag backend.Tag) error {
	p.tags = append(p.tags, tag)
	return nil
}

func (p *falsePoller) Cancel(backend.Tag) error { return nil }

func (p *falsePoller) Completions(done []backend.Completion) int {
	if n := p.n; n != 0 {
		p.n = 0
		return n
	}
	n := copy(done, p.done)
	p.done = p.done[n:]
	return n
}

// wantLie fails unless the next iteration returns an error that names the Poller.
func wantLie(t *testing.T, c *Context) {
	t.Helper()
	if _, err := c.TryPoll(); err == nil || !strings.HasPrefix(err.Error(), "aio: ") || !strings.Contains(err.Error(), "Poller false ") {
		t.Errorf("Poll returned %v", err)
	}
	turn(t, c)
}

func newFalse(t *testing.T) (*Context, *falsePoller) {
	p := &falsePoller{Poller: ppoll.New()}
	c, err := New(WithPoller(p))
	must(t, err)
	t.Cleanup(func() { closeLoop(t, c) })
	return c, p
}

func TestWaitThatLies(t *testing.T) {
	tell := func(tag backend.Tag) func(ready []backend.Ready) int {
		return func(ready []backend.Ready) int {
			ready[0] = backend.Ready{Tag: tag, Events: backend.In}
			return 1
		}
	}
	for name, wait := range map[string]func(ready []backend.Ready) int{
		"too many":                      func(ready []backend.Ready) int { return len(ready) + 1 },
		"a negative count":              func([]backend.Ready) int { return -1 },
		"an index of no handler":        tell(backend.MakeTag(1<<31, 1)),
		"a generation to come":          tell(backend.MakeTag(1, 2)),
		"a generation of none":          tell(backend.MakeTag(1, 0)),
		"a notifier of the future":      tell(backend.MakeTag(0, 2)),
		"an index that is not used yet": tell(backend.MakeTag(2, 1)),
	} {
		t.Run(name, func(t *testing.T) {
			c, p := newFalse(t)
			ran := 0
			n := notifier(t)
			watchNotifier(t, c, n, func() { ran++ })
			settle(t, c)
			p.wait = wait
			wantLie(t, c)
			must(t, n.Set())
			if settle(t, c); ran != 1 {
				t.Errorf("after it a handler ran %d times", ran)
			}
		})
	}
}

func TestWaitThatLiesToAParkedLoop(t *testing.T) {
	for _, n := range []int{-1, 1 << 20} {
		inner, err := epoll.New()
		must(t, err)
		p := &falsePoller{Poller: inner}
		c, err := New(WithMode(ModePark), WithPoller(struct {
			*falsePoller
			backend.Pollable
		}{p, inner}))
		must(t, err)
		t.Cleanup(func() { closeLoop(t, c) })
		settle(t, c)
		p.wait = func([]backend.Ready) int { return n }
		c.port.mustAskAgain()
		wantLie(t, c)
	}
}

// The alarm of a parked loop may be told of twice in one batch.
func TestAlarmToldTwiceIsNoLie(t *testing.T) {
	c, p := newFalse(t)
	p.wait = func(ready []backend.Ready) int {
		ready[0] = backend.Ready{Tag: backend.MakeTag(0, 1), Events: backend.In}
		return 1
	}
	c.port.mustAskAgain()
	turn(t, c)
}

// An event of a handler that was closed while it was under way is no lie.
func TestLateEventIsNoLie(t *testing.T) {
	c, p := newFalse(t)
	n := notifier(t)
	old, err := c.WatchNotifier(n, Callbacks{Read: func(*Handler) { t.Error("called after Close") }})
	must(t, err)
	tag := old.tag
	settle(t, c)
	late := func(ready []backend.Ready) int {
		ready[0] = backend.Ready{Tag: tag, Events: backend.In}
		return 1
	}
	must(t, old.Close())
	p.wait = late
	c.port.mustAskAgain()
	turn(t, c)
	watchNotifier(t, c, n, func() {}) // has the same index
	p.wait = late
	turn(t, c)
	if p.wait != nil {
		t.Error("the Poller was not asked")
	}
}

func TestCompletionsThatLie(t *testing.T) {
	for name, lie := range map[string]func(p *falsePoller){
		"too many":         func(p *falsePoller) { p.n = 1000 },
		"a negative count": func(p *falsePoller) { p.n = -1 },
		"an unknown one":   func(p *falsePoller) { p.done = append(p.done, backend.Completion{Tag: backend.MakeTag(1<<31, 0)}) },
		"a free one":       func(p *falsePoller) { p.done = append(p.done, backend.Completion{Tag: p.tags[1]}) },
		"the same twice": func(p *falsePoller) {
			p.done = append(p.done, backend.Completion{Tag: p.tags[2]}, backend.Completion{Tag: p.tags[2]})
		},
		"one of the last use": func(p *falsePoller) { p.done = append(p.done, backend.Completion{Tag: p.tags[0]}) },
	} {
		t.Run(name, func(t *testing.T) {
			c, p := newFalse(t)
			calls := [3]int{}
			submit := func(i int) {
				must(t, c.Submit(backend.Operation{}, func(int, error) { calls[i]++ }))
			}
			submit(0)
			submit(1)
			p.done = append(p.done, backend.Completion{Tag: p.tags[1]}, backend.Completion{Tag: p.tags[0]})
			settle(t, c)
			submit(2) // in the slot of the first
			lie(p)
			wantLie(t, c)
			if calls[2] == 0 {
				p.done = append(p.done, backend.Completion{Tag: p.tags[2]})
			}
			if settle(t, c); calls != [3]int{1, 1, 1} {
				t.Errorf("called %v times", calls)
			}
		})
	}
}
