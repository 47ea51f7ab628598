//go:build linux

package file

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

// running runs the loop on a goroutine of its own until the end of the test.
func (s *setup) running() {
	ctx, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		if err := s.loop.Run(ctx); err != nil {
			s.Error(err)
		}
		if err := s.loop.Close(); err != nil {
			s.Error(err)
		}
	})
	s.Cleanup(func() {
		stop()
		group.Wait()
	})
}

func TestFileForOtherGoroutines(t *testing.T) {
	eachVariant(t, func(t *testing.T, s *setup) {
		const size, block = 1 << 18, 4096
		name := s.create(patterned(size, 0, 7))
		var f *File
		s.running()
		err := s.loop.Do(t.Context(), func() (err error) {
			f, err = Open(s.loop, name, os.O_RDWR|s.flags(), WithEngine(s.engine))
			return err
		})
		if s.direct && errors.Is(err, unix.EINVAL) {
			t.Skip("skipped: the filesystem has no O_DIRECT")
		}
		s.must(err)
		at := f.At(t.Context())
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				buf := f.Buffer(block)
				for offset := int64(i) * block; offset < size; offset += 4 * block {
					if n, err := at.ReadAt(buf, offset); n != block || err != nil || !bytes.Equal(buf, patterned(block, offset, 7)) {
						t.Errorf("read at %d: %d, %v", offset, n, err)
					}
					pattern(buf, offset, 8)
					if n, err := at.WriteAt(buf, offset); n != block || err != nil {
						t.Errorf("write at %d: %d, %v", offset, n, err)
					}
				}
			})
		}
		group.Wait()
		s.must(at.Sync())
		all, err := io.ReadAll(io.NewSectionReader(at, 0, size+1))
		if err != nil || !bytes.Equal(all, patterned(size, 0, 8)) {
			t.Errorf("read %d bytes, %v", len(all), err)
		}
		s.must(s.loop.Do(t.Context(), func() error {
			if _, err := at.ReadAt(make([]byte, 1), 0); !errors.Is(err, aio.ErrDeadlock) {
				t.Errorf("on the loop: %v", err)
			}
			return f.Close()
		}))
		if _, err := at.ReadAt(make([]byte, 1), 0); !errors.Is(err, os.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestCallOfAnotherGoroutineThatEndsEarly(t *testing.T) {
	s := epollSetup(t)
	s.running()
	var f *File
	s.must(s.loop.Do(t.Context(), func() (err error) {
		f, err = Open(s.loop, s.create(make([]byte, 10)), os.O_RDWR)
		return err
	}))
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	if _, err := f.At(ctx).ReadAt(make([]byte, 1), 0); !errors.Is(err, enough) {
		t.Errorf("a context that has ended: %v", err)
	}
	s.must(s.loop.Do(t.Context(), f.Close))
}
