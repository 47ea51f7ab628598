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
	wait      func(ready []backend.Ready) int
	submitted []*Request
	done      []*Request // for Completions
	returned  map[*Request]bool
}

func (p *falsePoller) Name() string { return "false" }

func (p *falsePoller) Wait(ready []backend.Ready, timeout time.Duration) (int, error) {
	if wait := p.wait; wait != nil {
		p.wait = nil
		return wait(ready), nil
	}
	return p.Poller.Wait(ready, timeout)
}

func (p *falsePoller) Submit(r *Request) error {
	p.submitted = append(p.submitted, r)
	return nil
}

func (p *falsePoller) Supports(backend.OpCode) bool { return true }

func (p *falsePoller) Cancel(*Request) error { return nil }

func (p *falsePoller) Each(f func(*Request)) {
	for _, r := range p.submitted {
		if !p.returned[r] {
			f(r)
		}
	}
}

func (p *falsePoller) Completions(done *backend.Requests) {
	if p.returned == nil {
		p.returned = map[*Request]bool{}
	}
	for _, r := range p.done {
		p.returned[r] = done.Push(r)
	}
	p.done = nil
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
	for name, lie := range map[string]func(p *falsePoller) *Request{
		"an unknown one":         func(*falsePoller) *Request { return new(Request) },
		"one that was done":      func(p *falsePoller) *Request { return p.submitted[1] },
		"one of another Context": func(*falsePoller) *Request { return ownedElsewhere() },
	} {
		t.Run(name, func(t *testing.T) {
			c, p := newFalse(t)
			calls := [3]int{}
			start := func(i int) { must(t, submit(c, Request{}, func(int, error) { calls[i]++ })) }
			start(0)
			start(1)
			p.done = append(p.done, p.submitted...)
			settle(t, c)
			start(2)
			p.done = append(p.done, lie(p))
			wantLie(t, c)
			p.done = append(p.done, p.submitted[2])
			if settle(t, c); calls != [3]int{1, 1, 1} {
				t.Errorf("called %v times", calls)
			}
		})
	}
}

func ownedElsewhere() *Request {
	r := new(Request)
	r.Own(new(backend.Owner))
	return r
}
