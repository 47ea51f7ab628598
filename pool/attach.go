//go:build linux

package pool

import (
	"slices"
	"sync"

	"github.com/aioloop/aioloop/aio"
)

// pools are those of one loop, which ends them.
type pools struct {
	mu  sync.Mutex
	own *Pool // that of Of
	all []*Pool
}

var _ aio.Attachment = (*pools)(nil)

type poolsKey struct{}

func poolsOf(loop *aio.Context) (*pools, error) {
	a, err := loop.Attach(poolsKey{}, func() (aio.Attachment, error) { return new(pools), nil })
	if err != nil {
		return nil, err
	}
	return a.(*pools), nil
}

// loopsOwn returns the pool of Of.
func (s *pools) loopsOwn(loop *aio.Context) *Pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own == nil || s.own.isClosed() {
		s.own = s.add(loop, options{min: 0, max: defaultMax, idle: defaultIdle})
	}
	return s.own
}

// another returns a new pool.
func (s *pools) another(loop *aio.Context, o options) *Pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add(loop, o)
}

// add makes a pool. The caller holds mu; Pool.mu comes after it.
func (s *pools) add(loop *aio.Context, o options) *Pool {
	p := newPool(loop, s, o)
	s.all = append(s.all, p)
	return p
}

// remove forgets a pool that was closed and has nothing under way.
func (s *pools) remove(p *Pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(q *Pool) bool { return p == q })
}

func (s *pools) list() []*Pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// End implements aio.Attachment.
func (s *pools) End() (left []string) {
	for _, p := range s.list() {
		left = append(left, p.end()...)
	}
	return left
}

// Work implements aio.Attachment.
func (s *pools) Work() (names []string) {
	for _, p := range s.list() {
		names = append(names, p.names()...)
	}
	return names
}
