//go:build linux

package file

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

// Requests in registered memory, at its edges and half outside of it, do what others do.
func TestRegisteredMemory(t *testing.T) {
	eachVariant(t, func(t *testing.T, s *setup) {
		f := s.open(s.create(patterned(1<<16, 0, 1)), os.O_RDWR)
		memory := f.Buffer(4 * 4096)
		if err := f.Register(memory[4096 : 3*4096]); err != nil {
			if s.backend == aio.IOUring && !errors.Is(err, errors.ErrUnsupported) {
				t.Fatal(err)
			}
			var e *Error
			if !errors.Is(err, errors.ErrUnsupported) || !errors.As(err, &e) {
				t.Errorf("on %v: %v", s.backend, err)
			}
			return
		}
		for i, part := range [][]byte{memory[4096:8192], memory[4096 : 3*4096], memory[2*4096 : 3*4096], memory[:8192], memory[2*4096:], memory[:4096]} {
			at := int64(i) * 4096
			if n, err := s.do(f.Read, &Request{Buf: part, Offset: at}); n != int64(len(part)) || err != nil || !bytes.Equal(part, patterned(len(part), at, 1)) {
				t.Errorf("part %d: read %d, %v", i, n, err)
			}
			pattern(part, at, 1)
			if n, err := s.do(f.Write, &Request{Buf: part, Offset: at}); n != int64(len(part)) || err != nil {
				t.Errorf("part %d: wrote %d, %v", i, n, err)
			}
		}
		if got, err := os.ReadFile(f.Name()); err != nil || !bytes.Equal(got, patterned(1<<16, 0, 1)) {
			t.Errorf("the file has changed: %v", err)
		}
		inside, outside := vector(memory[4096:5000]), vector(memory[4095:5000])
		if _, found := f.all.registered(&inside); !found {
			t.Error("what lies within is not found")
		}
		if _, found := f.all.registered(&outside); found {
			t.Error("what begins outside is found")
		}
		s.close(f)
		s.refused("after Close", f, f.Register(memory), os.ErrClosed)
	})
}

func TestRegisterRefusesNothing(t *testing.T) {
	s := newSetup(t, variant{backend: aio.IOUring, mode: aio.ModeThread})
	f := s.open(s.create(nil), os.O_RDWR)
	if err := f.Register(nil); !errors.Is(err, unix.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("no memory: %v", err)
	}
}
