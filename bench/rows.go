package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

// The rows that are not backends of the library: what a Go program would use
// instead of an event loop.
const (
	// GoroutineChannel is a goroutine that receives from a channel.
	GoroutineChannel = "goroutine+channel"
	// Netpoller is a goroutine that reads an eventfd through the poller of the Go
	// runtime.
	Netpoller = "netpoller"
	// GLib is the same in C, a program of its own from bench/peers.
	GLib = "glib (C)"
)

// Backends returns the names of the rows that are backends of the library.
func Backends() []string {
	return []string{aio.Ppoll.String(), aio.Epoll.String(), aio.IOUring.String()}
}

// goRows are the rows that this process runs itself.
func goRows() []string { return append(Backends(), GoroutineChannel, Netpoller) }

// Rows returns the names of all rows, in the order of the report.
func Rows() []string { return append(goRows(), GLib) }

// RowsIn returns the names of those that take part in any of the scenarios; nil
// means all scenarios.
func RowsIn(scenarios []string) []string {
	groups, err := plan(scenarios, nil)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(Rows(), func(row string) bool {
		return !slices.ContainsFunc(groups, func(g group) bool { return len(g.only([]string{row}).cases) > 0 })
	})
}

// IsPeer reports whether a row is a program in C, which is there only if it was
// built.
func IsPeer(row string) bool { return row == GLib }

func isBackend(row string) bool { return slices.Contains(Backends(), row) }

// Available returns why a row cannot be measured here, or nil.
func Available(row string) error {
	if IsPeer(row) {
		_, err := findPeer(glibProgram)
		return err
	}
	if !isBackend(row) {
		return nil
	}
	loop, err := openLoop(row)
	if err != nil {
		return err
	}
	return loop.Close()
}

// openLoop returns a Context on the backend that was asked for and no other.
func openLoop(row string, opts ...aio.Option) (*aio.Context, error) {
	var b aio.Backend
	if err := b.Set(row); err != nil {
		return nil, err
	}
	loop, err := aio.New(append(opts, aio.WithBackend(b))...)
	if err != nil {
		return nil, err
	}
	if live := loop.Backend(); live.Name != row {
		return nil, errors.Join(fmt.Errorf("asked for %s, but the live backend is %v", row, live), loop.Close())
	}
	return loop, nil
}

// station sets up a row: something that can be woken through any of n doors, and
// then calls handle with the door's number. It returns the function that wakes,
// which any goroutine may call. Nobody uses a door again before it was answered.
func (s *site) station(row string, at place, n int, handle func(door int), opts ...aio.Option) (wake func(door int), err error) {
	switch row {
	case GoroutineChannel:
		return s.channelStation(n, handle), nil
	case Netpoller:
		return s.netpollerStation(n, handle)
	}
	return s.loopStation(row, at, n, handle, opts)
}

// loopStation is a Context with a bottom half for each door.
func (s *site) loopStation(row string, at place, n int, handle func(int), opts []aio.Option) (func(int), error) {
	loop, err := openLoop(row, opts...)
	if err != nil {
		return nil, err
	}
	doors := make([]*aio.BottomHalf, n)
	for i := range doors {
		doors[i] = loop.NewBottomHalf(func() { handle(i) })
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	s.start(at, func() { ended <- s.runLoop(ctx, loop) })
	s.atExit(func() error { cancel(); return <-ended })
	return func(door int) { _ = doors[door].Schedule() }, nil // it fails only on a closed loop, which s.broken tells
}

// runLoop runs and closes a loop on the calling goroutine.
func (s *site) runLoop(ctx context.Context, loop *aio.Context) error {
	err := loop.Run(ctx)
	if errors.Is(err, context.Canceled) {
		return loop.Close()
	}
	err = errors.Join(fmt.Errorf("the loop has ended: %w", err), loop.Close())
	s.fail(err)
	return err
}

// channelStation is a goroutine that receives the numbers of doors.
func (s *site) channelStation(n int, handle func(int)) func(int) {
	doors, ended := make(chan int, n), make(chan struct{})
	go func() {
		defer close(ended)
		for door := range doors {
			handle(door)
		}
	}()
	s.atExit(func() error { close(doors); <-ended; return nil })
	return func(door int) { doors <- door }
}

// netpollerStation is a goroutine that reads an eventfd. With several doors, the
// numbers come through a channel, as a program would do it.
func (s *site) netpollerStation(n int, handle func(int)) (func(int), error) {
	if n == 1 {
		fd, err := s.reader(func() { handle(0) })
		return func(int) { setEventfd(fd) }, err
	}
	doors := make(chan int, n)
	fd, err := s.reader(func() {
		for {
			select {
			case door := <-doors:
				handle(door)
			default:
				return
			}
		}
	})
	return func(door int) { doors <- door; setEventfd(fd) }, err
}

// reader starts a goroutine that calls handle each time that it could read from
// the eventfd that is returned.
func (s *site) reader(handle func()) (fd int, err error) {
	file, fd, err := eventfdFile()
	if err != nil {
		return -1, err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.readAll(file, handle) }()
	s.atExit(func() error { return errors.Join(file.Close(), <-ended) })
	return fd, nil
}

func (s *site) readAll(file *os.File, handle func()) error {
	buf := make([]byte, 8)
	for {
		if _, err := file.Read(buf); errors.Is(err, os.ErrClosed) {
			return nil
		} else if err != nil {
			s.fail(err)
			return err
		}
		handle()
	}
}

// eventfdFile returns an eventfd that the runtime's poller watches. The caller
// keeps the file, and with it the number, alive.
func eventfdFile() (*os.File, int, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, -1, os.NewSyscallError("eventfd2", err)
	}
	return os.NewFile(uintptr(fd), "eventfd"), fd, nil // non-blocking: it goes to the poller
}

var one = binary.NativeEndian.AppendUint64(nil, 1)

// setEventfd cannot fail while the descriptor is open: only 2^64 writes would
// fill the counter. It is package syscall's Write and not unix's, because only then
// the race detector knows that a Read in package os comes after it.
func setEventfd(fd int) { _, _ = syscall.Write(fd, one) }
