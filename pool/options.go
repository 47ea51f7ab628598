//go:build linux

package pool

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// The limits of a pool without options.
const (
	defaultMax  = 64
	defaultIdle = 10 * time.Second
)

// Option configures a Pool. New fails if one is given twice.
type Option func(*options) error

type options struct {
	min, max int
	idle     time.Duration
}

// WithWorkers sets how many workers the pool has at most, and how many of those that it has
// started stay when there is nothing to do. The default is none to 64. It fails unless
// 0 ≤ min ≤ max and 1 ≤ max.
func WithWorkers(min, max int) Option {
	return func(o *options) error {
		if o.max != 0 {
			return twice("WithWorkers")
		}
		if min < 0 || max < 1 || min > max {
			return fmt.Errorf("pool: WithWorkers(%d, %d): it takes 0 ≤ min ≤ max and 1 ≤ max", min, max)
		}
		o.min, o.max = min, max
		return nil
	}
}

// WithIdle sets how long a worker beyond the minimum stays without work. It ends when d to 2d have
// gone by, in real time. The default is 10 s. It fails unless d is positive.
func WithIdle(d time.Duration) Option {
	return func(o *options) error {
		if o.idle != 0 {
			return twice("WithIdle")
		}
		if d <= 0 {
			return fmt.Errorf("pool: WithIdle(%v): it takes a positive duration", d)
		}
		o.idle = d
		return nil
	}
}

func twice(option string) error {
	return fmt.Errorf("pool: %s is given twice: leave one out", option)
}

func (o *options) apply(opts []Option) (err error) {
	for _, opt := range opts {
		if opt == nil {
			err = errors.Join(err, errors.New("pool: New: an Option is nil"))
			continue
		}
		err = errors.Join(err, opt(o))
	}
	o.max, o.idle = cmp.Or(o.max, defaultMax), cmp.Or(o.idle, defaultIdle)
	return err
}
