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

// registerAgain gives a new ring the files of the one before.
func (p *Poller) registerAgain() error {
	if p.files == nil {
		return nil
	}
	if err := p.ring.RegisterFiles(p.files); err != nil {
		return fmt.Errorf("%s: registered files: %w", Name, err)
	}
	return nil
}
