//go:build linux

package file

import (
	"fmt"
	"slices"
)

// Option configures a File. Opening fails if one is given twice.
type Option func(*options) error

type options struct {
	file   *File
	engine Engine
	given  []string
}

func (o *options) apply(f *File, opts []Option) error {
	o.file = f
	for _, opt := range opts {
		if opt == nil {
			return fmt.Errorf("file: an Option is nil")
		}
		if err := opt(o); err != nil {
			return err
		}
	}
	return nil
}

func (o *options) once(option string) error {
	if slices.Contains(o.given, option) {
		return fmt.Errorf("file: %s is given twice: leave one out", option)
	}
	o.given = append(o.given, option)
	return nil
}

// WithEngine chooses the engine. Without it, and with EngineAuto, the environment variable
// AIOLOOP_FILE decides, and without that what is there.
func WithEngine(e Engine) Option {
	return func(o *options) error {
		if _, err := e.MarshalText(); err != nil {
			return err
		}
		o.engine = e
		return o.once("WithEngine")
	}
}

// WithName names the File in errors, leak reports and snapshots. That of Open is the name of the
// file.
func WithName(name string) Option {
	return func(o *options) error {
		o.file.name = name
		return nil
	}
}

// WithZerosAtEnd makes reads past the end of the file see zeros, as many as were asked for, instead of
// io.EOF: for the image of a disk whose last sector is not there.
func WithZerosAtEnd() Option {
	return func(o *options) error {
		o.file.zerosAtEnd = true
		return o.once("WithZerosAtEnd")
	}
}

// WithDepth sets how many requests of the File are begun at a time, from 1 on; the others wait, in
// order. The default is 128.
func WithDepth(n int) Option {
	return func(o *options) error {
		if n < 1 {
			return fmt.Errorf("file: WithDepth(%d): use 1 or more", n)
		}
		o.file.depth = n
		return o.once("WithDepth")
	}
}

// WithWaitingWrites makes buffered writes of up to 64 KiB on the home goroutine, by a call that may
// wait: for the disk when too much in memory is not written yet, for the journal of the filesystem, or for
// a page that is written in part and has to be read first. As long as it waits, nothing else on the
// loop runs; most often it takes the time of a copy, a fraction of what a worker costs. It is
// for a loop that has nothing better to do, such as that of a copy tool or a log.
func WithWaitingWrites() Option {
	return func(o *options) error {
		o.file.waitingWrites = true
		return o.once("WithWaitingWrites")
	}
}
