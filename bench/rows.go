package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

// The rows that are not backends of the library and not programs of bench/peers:
// what a Go program would use instead of an event loop.
const (
	// GoroutineChannel is a goroutine that receives from a channel.
	GoroutineChannel = "goroutine+channel"
	// GoroutineBlocking is the same with a sender that blocks for the answer, which is what
	// channels are made for.
	GoroutineBlocking = "goroutine+channel blocking"
	// Netpoller is a goroutine that reads an eventfd through the poller of the Go
	// runtime.
	Netpoller = "netpoller"
)

// variant is a way to open a Context in which the backends are measured: a row for
// each, named after the backend and the variant.
type variant struct {
	name     string // empty for the first
	mode     aio.Mode
	thread   aio.Thread    // what the loop asks for its thread
	atHome   bool          // its thread is kept on the CPU of the loop too
	backends []aio.Backend // those that have it
	// unlocked is set if the goroutine of the loop is not to be locked to a thread.
	unlocked bool
	// scenarios are those that it is for; nil means all.
	scenarios []string
}

var allBackends = []aio.Backend{aio.Ppoll, aio.Epoll, aio.IOUring}

// variants is where an option that backends have becomes a row more for each of them.
var variants = []variant{
	{mode: aio.ModeThread, backends: allBackends},
	{name: "park", mode: aio.ModePark, backends: []aio.Backend{aio.Epoll, aio.IOUring}, unlocked: true},
	{name: "exclusive", mode: aio.ModeThread, thread: aio.Thread{Exclusive: true}, atHome: true, backends: []aio.Backend{aio.Epoll, aio.IOUring}, scenarios: []string{"pingpong", "wake"}},
	{name: exact, mode: aio.ModeThread, thread: aio.Thread{TimerSlack: 1}, backends: []aio.Backend{aio.Ppoll, aio.Epoll}, scenarios: []string{"lateness"}},
	{name: "nice", mode: aio.ModeThread, thread: aio.Thread{Nice: -20}, atHome: true, backends: []aio.Backend{aio.Epoll, aio.IOUring}, scenarios: []string{"busy"}},
}

// loopRow is a row that is a backend of the library.
type loopRow struct {
	variant
	name    string
	backend aio.Backend
}

func loopRows() (rows []loopRow) {
	for _, v := range variants {
		for _, b := range v.backends {
			name := b.String()
			if v.name != "" {
				name += " " + v.name
			}
			rows = append(rows, loopRow{v, name, b})
		}
	}
	return rows
}

// loopRowOf returns the row of a name, if it is a backend of the library.
func loopRowOf(name string) (loopRow, bool) {
	rows := loopRows()
	i := slices.IndexFunc(rows, func(r loopRow) bool { return r.name == name })
	if i < 0 {
		return loopRow{}, false
	}
	return rows[i], true
}

// Backends returns the names of the rows that are backends of the library.
func Backends() (names []string) {
	for _, r := range loopRows() {
		names = append(names, r.name)
	}
	return names
}

// goRows are the rows that this process runs itself.
func goRows() []string { return append(Backends(), GoroutineChannel, Netpoller) }

// Rows returns the names of all rows, in the order of the report.
func Rows() []string {
	return slices.Concat(goRows(), []string{GoroutineBlocking}, coroutineRows(), fileRowNames(), otherFileRows(), peerNames())
}

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

func isBackend(row string) bool { return slices.Contains(Backends(), row) }

// isLocked reports whether the goroutine of a row is locked to a thread of its own.
func isLocked(row string) bool {
	r, ok := loopRowOf(row)
	return ok && !r.unlocked
}

// driverOf is where a row is driven in scenarios on one thread. What is not locked is
// kept at home with all threads of the process instead, see fixture.confine.
func driverOf(row string) pinning {
	if isLocked(row) {
		return atHome
	}
	return anywhere
}

// options are those of the variant, where the loop's CPU is the home of c.
func (v *variant) options(c cpus) []aio.Option {
	thread := v.thread
	if cpu, err := c.of(atHome); v.atHome && err == nil {
		thread.CPUs = []int{cpu}
	}
	return []aio.Option{aio.WithMode(v.mode), aio.WithThread(thread)}
}

// Available returns why a row cannot be measured here, or nil.
func Available(row string) error {
	if p, ok := peerOf(row); ok {
		return p.available()
	}
	if err := availableFile(row); err != nil {
		return err
	}
	if f, ok := fioOf(row); ok && f.engine == aio.IOUring.String() {
		row = f.engine // what forbids it to a loop forbids it to fio, which says nothing
	}
	if _, ok := anyLoopRow(row); !ok {
		return nil
	}
	failed := make(chan error)
	go func() { failed <- tryRow(row) }()
	return <-failed
}

// anyLoopRow returns the loop of a row, also of one that has a File or a callback on it.
func anyLoopRow(row string) (loopRow, bool) {
	if r, ok := fileRowOf(row); ok {
		return r.loop(), true
	}
	return loopRowOf(strings.TrimPrefix(row, callbackOn))
}

// tryRow makes a turn of a loop, on a goroutine of its own, which is its home.
func tryRow(row string) error {
	home, err := chooseCPUs(nil)
	if err != nil {
		return err
	}
	loop, err := openLoop(row, home)
	if err != nil {
		return err
	}
	_, err = loop.TryPoll()
	return errors.Join(err, loop.Close())
}

// openLoop returns a Context on the backend and in the mode that were asked for and in
// no other.
func openLoop(row string, home cpus, opts ...aio.Option) (*aio.Context, error) {
	r, ok := anyLoopRow(row)
	if !ok {
		return nil, fmt.Errorf("%s is not a backend of the library", row)
	}
	return r.open(home, opts...)
}

func (r *loopRow) open(home cpus, opts ...aio.Option) (*aio.Context, error) {
	opts = append(slices.Concat(r.options(home), opts), aio.WithBackend(r.backend))
	loop, err := aio.New(opts...)
	if err != nil {
		return nil, err
	}
	if live := loop.Backend(); live.Name != r.backend.String() {
		return nil, errors.Join(fmt.Errorf("asked for %v, but the live backend is %v", r.backend, live), loop.Close())
	}
	if live := loop.Mode(); live != r.mode {
		return nil, errors.Join(fmt.Errorf("asked for the mode %v, but the live one is %v", r.mode, live), loop.Close())
	}
	return loop, nil
}

// waker sets up a row: something that can be woken through any of n slots, and
// then calls handle with the slot's number. It returns the function that wakes,
// which any goroutine may call. A slot is used again only after its answer.
func (s *fixture) waker(row string, at pinning, n int, handle func(slot int), opts ...aio.Option) (wake func(slot int), err error) {
	switch row {
	case GoroutineChannel:
		return s.channelWaker(n, handle), nil
	case Netpoller:
		return s.netpollerWaker(n, handle)
	}
	return s.loopWaker(row, at, n, handle, opts)
}

// loopWaker is a Context with a bottom half for each slot.
func (s *fixture) loopWaker(row string, at pinning, n int, handle func(int), opts []aio.Option) (func(int), error) {
	loop, err := openLoop(row, s.cpus, opts...)
	if err != nil {
		return nil, err
	}
	slots := make([]*aio.BottomHalf, n)
	for i := range slots {
		slots[i] = loop.NewBottomHalf(func() { handle(i) })
	}
	s.runApart(row, at, loop)
	return func(slot int) { _ = slots[slot].Schedule() }, nil // it fails only on a closed loop, which s.broken tells
}

// runApart runs the loop of a row on a goroutine of its own until the fixture is left.
func (s *fixture) runApart(row string, at pinning, loop *aio.Context) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	if !isLocked(row) {
		at = anywhere
	}
	s.start(at, func() { ended <- s.runLoop(ctx, loop) })
	s.atExit(func() error { cancel(); return <-ended })
}

// runLoop runs and closes a loop on the calling goroutine.
func (s *fixture) runLoop(ctx context.Context, loop *aio.Context) error {
	err := loop.Run(ctx)
	if err == nil {
		return loop.Close()
	}
	err = errors.Join(fmt.Errorf("the loop has ended: %w", err), loop.Close())
	s.fail(err)
	return err
}

// channelWaker is a goroutine that receives the numbers of slots.
func (s *fixture) channelWaker(n int, handle func(int)) func(int) {
	slots, ended := make(chan int, n), make(chan struct{})
	go func() {
		defer close(ended)
		for slot := range slots {
			handle(slot)
		}
	}()
	s.atExit(func() error { close(slots); <-ended; return nil })
	return func(slot int) { slots <- slot }
}

// netpollerWaker is a goroutine that reads an eventfd. With several slots, the
// numbers come through a channel, as a program would do it.
func (s *fixture) netpollerWaker(n int, handle func(int)) (func(int), error) {
	if n == 1 {
		fd, err := s.reader(func() { handle(0) })
		return func(int) { setEventfd(fd) }, err
	}
	slots := make(chan int, n)
	fd, err := s.reader(func() {
		for {
			select {
			case slot := <-slots:
				handle(slot)
			default:
				return
			}
		}
	})
	return func(slot int) { slots <- slot; setEventfd(fd) }, err
}

// reader starts a goroutine that calls handle each time that it could read from
// the eventfd that is returned.
func (s *fixture) reader(handle func()) (fd int, err error) {
	file, fd, err := eventfdFile()
	if err != nil {
		return -1, err
	}
	s.readApart(file, handle)
	return fd, nil
}

// readApart calls handle each time that it could read from the file, on a goroutine of its
// own, until the fixture is left.
func (s *fixture) readApart(file *os.File, handle func()) {
	ended := make(chan error, 1)
	go func() { ended <- s.readAll(file, handle) }()
	s.atExit(func() error { return errors.Join(file.Close(), <-ended) })
}

func (s *fixture) readAll(file *os.File, handle func()) error {
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
