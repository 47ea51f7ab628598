package iouring

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

// maxFiles is how many files can be registered. A table of them takes memory of the kernel's.
const maxFiles = 64

// free is a place in the table of registered files without one.
const free = -1

// RegisterFile implements backend.Registrar. The table is made for the first file (Linux 5.5, which
// knows free places).
func (p *Poller) RegisterFile(fd int) (index int, err error) {
	switch {
	case p.table.Closed():
		return 0, backend.ErrClosed
	case fd < 0 || fd > math.MaxInt32: // -1 would free a place
		return 0, fmt.Errorf("%s: registering fd %d: %w", Name, fd, unix.EBADF)
	}
	if p.files == nil {
		files := slices.Repeat([]int32{free}, maxFiles)
		if err := p.ring.RegisterFiles(files); err != nil {
			return 0, fmt.Errorf("%s: registered files: %w: %w", Name, errors.ErrUnsupported, err)
		}
		p.files = files
	}
	index = slices.Index(p.files, free)
	if index < 0 {
		return 0, fmt.Errorf("%s: %d files are registered already: %w", Name, maxFiles, unix.ENFILE)
	}
	if err := p.ring.UpdateFile(index, int32(fd)); err != nil {
		return 0, fmt.Errorf("%s: registering fd %d: %w", Name, fd, err)
	}
	p.files[index] = int32(fd)
	return index, nil
}

// UnregisterFile implements backend.Registrar.
func (p *Poller) UnregisterFile(index int) error {
	switch {
	case p.table.Closed():
		return backend.ErrClosed
	case index < 0 || index >= len(p.files) || p.files[index] == free:
		return fmt.Errorf("%s: no file is registered as %d: %w", Name, index, unix.ENOENT)
	}
	p.files[index] = free
	if err := p.ring.UpdateFile(index, free); err != nil {
		return fmt.Errorf("%s: %w", Name, err)
	}
	return nil
}

// maxBuffers is how many buffers can be registered.
const maxBuffers = 16

// RegisterBuffer implements backend.Registrar. The table is made for the first buffer (Linux 5.19,
// which knows free places).
func (p *Poller) RegisterBuffer(buf []byte) (index int, err error) {
	switch {
	case p.table.Closed():
		return 0, backend.ErrClosed
	case len(buf) == 0 || len(buf) > 1<<30: // the kernel's limit
		return 0, fmt.Errorf("%s: registering a buffer of %d bytes: use 1 to 1 GiB: %w", Name, len(buf), unix.EINVAL)
	}
	if p.buffers == nil {
		if err := p.ring.RegisterBuffers(maxBuffers); err != nil {
			return 0, fmt.Errorf("%s: registered buffers: %w: %w", Name, errors.ErrUnsupported, err)
		}
		p.buffers = make([][]byte, maxBuffers)
	}
	index = slices.IndexFunc(p.buffers, func(b []byte) bool { return b == nil })
	if index < 0 {
		return 0, fmt.Errorf("%s: %d buffers are registered already: %w", Name, maxBuffers, unix.ENOBUFS)
	}
	if err := p.ring.UpdateBuffer(index, buf); err != nil {
		return 0, fmt.Errorf("%s: registering a buffer of %d bytes: %w (they count as locked memory: raise `ulimit -l`)", Name, len(buf), err)
	}
	p.buffers[index] = buf
	return index, nil
}

// UnregisterBuffer implements backend.Registrar.
func (p *Poller) UnregisterBuffer(index int) error {
	switch {
	case p.table.Closed():
		return backend.ErrClosed
	case index < 0 || index >= len(p.buffers) || p.buffers[index] == nil:
		return fmt.Errorf("%s: no buffer is registered as %d: %w", Name, index, unix.ENOENT)
	}
	if err := p.ring.UpdateBuffer(index, nil); err != nil {
		return fmt.Errorf("%s: %w", Name, err)
	}
	p.buffers[index] = nil
	return nil
}

// registerAgain gives a new ring the files and the buffers of the one before.
func (p *Poller) registerAgain() error {
	if p.files != nil {
		if err := p.ring.RegisterFiles(p.files); err != nil {
			return fmt.Errorf("%s: registered files: %w", Name, err)
		}
	}
	if p.buffers == nil {
		return nil
	}
	err := p.ring.RegisterBuffers(maxBuffers)
	for index, buf := range p.buffers {
		if buf != nil && err == nil {
			err = p.ring.UpdateBuffer(index, buf)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: registered buffers: %w", Name, err)
	}
	return nil
}
