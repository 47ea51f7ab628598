//go:build linux

package file

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
)

// File is a regular file or a block device that a loop reads and writes. It belongs to the home
// goroutine of its loop: that one calls all methods, but for those of At.
type File struct {
	loop   *aio.Context
	all    *engines
	fd     int
	name   string
	titles [ops]string // of requests, for leak reports

	allowed         uint8 // a set of 1 << op: what the file was opened for, nothing once it is closed
	device          bool  // a block device
	direct          bool  // O_DIRECT
	offsets, memory int64 // with O_DIRECT: what offsets and lengths, and addresses, are multiples of

	engine     EngineInfo
	auto       bool  // EngineAuto has chosen it
	native     uint8 // a set of 1 << op: those that the ring has
	registered int   // the number of the file there, -1 if it is not registered
	routes     [ops]route
	depth      int

	zerosAtEnd    bool
	waitingWrites bool
	synced        bool // O_DSYNC

	luck  [ops]luck // of calls in the loop
	lost  error     // what a Sync has reported
	syncs syncs

	busy    int // requests that are begun
	waiting requests
	line    *line
	closed  bool
}

// Open opens the file of that name, with flags as for os.OpenFile, to which O_CLOEXEC is added, and
// permissions 0o666 before umask for one that is created. With unix.O_DIRECT it goes past the page
// cache. It is a short blocking call; open on another goroutine what may hang, and hand it to New.
func Open(loop *aio.Context, name string, flags int, opts ...Option) (*File, error) {
	fd, err := unix.Open(name, flags|unix.O_CLOEXEC|unix.O_LARGEFILE, 0o666)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	f, err := New(loop, fd, append([]Option{WithName(name)}, opts...)...)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return f, nil
}

// New makes a File of an open descriptor, which belongs to the File if New succeeds.
//
// It fails for what is neither a regular file nor a block device, for O_APPEND, where a write goes
// elsewhere than its Offset says, for a descriptor that is a File of the loop already, and for an
// engine that is not available here.
func New(loop *aio.Context, fd int, opts ...Option) (*File, error) {
	f := &File{loop: loop, fd: fd, name: fmt.Sprintf("fd %d", fd), depth: maxDepth, registered: -1}
	var o options
	if err := o.apply(f, opts); err != nil {
		return nil, err
	}
	if err := f.open(o.engine); err != nil {
		return nil, fmt.Errorf("file: %s: %w", f.name, err)
	}
	return f, nil
}

// maxDepth is how many requests of one file are begun at a time; others wait.
const maxDepth = 128

func (f *File) open(engine Engine) error {
	if err := errors.Join(f.loop.CheckHome(), f.inspect()); err != nil {
		return err
	}
	all, err := enginesOf(f.loop)
	if err != nil {
		return err
	}
	f.all = all
	if err := f.choose(engine); err != nil {
		return err
	}
	for o, name := range opNames {
		f.titles[o] = name + " of " + f.name
	}
	f.line = newLine(f)
	f.plan()
	if err := all.add(f); err != nil {
		return err
	}
	f.register()
	return nil
}

// register spares the ring the search for the descriptor in each request. Where that is not
// possible all goes on without.
func (f *File) register() {
	if f.engine.Engine != EngineIOUring {
		return
	}
	if n, err := f.loop.RegisterFile(f.fd); err == nil {
		f.registered = n
	}
}

// inspect finds out what the descriptor is.
func (f *File) inspect() error {
	var stat unix.Stat_t
	if err := unix.Fstat(f.fd, &stat); err != nil {
		return fmt.Errorf("fstat: %w", err)
	}
	flags, err := unix.FcntlInt(uintptr(f.fd), unix.F_GETFL, 0)
	if err != nil {
		return fmt.Errorf("fcntl: %w", err)
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFBLK:
		f.device = true
	default:
		return fmt.Errorf("it is neither a regular file nor a block device: aio.Context.Watch is for the others: %w", unix.EINVAL)
	}
	switch {
	case flags&unix.O_APPEND != 0:
		return fmt.Errorf("it was opened with O_APPEND, and writes would ignore their offset: %w", unix.EINVAL)
	case flags&unix.O_PATH != 0:
		return fmt.Errorf("it was opened with O_PATH: %w", unix.EBADF)
	}
	f.allow(flags & unix.O_ACCMODE)
	f.synced = flags&unix.O_DSYNC != 0 // O_SYNC has this bit too
	if f.direct = flags&unix.O_DIRECT != 0; f.direct {
		f.offsets, f.memory = alignment(f.fd, f.device)
	}
	return nil
}

// allow sets what a file that was opened so is allowed to do.
func (f *File) allow(mode int) {
	for o := range ops {
		if !(o == opRead && mode == unix.O_WRONLY || o.changes() && mode == unix.O_RDONLY) {
			f.allowed |= 1 << o
		}
	}
}

// plan sets the routes.
func (f *File) plan() {
	for o := range ops {
		f.routes[o] = situation{
			op: o, engine: f.engine.Engine, auto: f.auto, direct: f.direct, device: f.device,
			native: f.native&(1<<o) != 0, waits: f.waitingWrites, synced: f.synced,
		}.route()
	}
}

// choose sets the engine.
func (f *File) choose(engine Engine) error {
	engine, by, err := engine.fromEnvironment()
	if err != nil {
		return err
	}
	f.auto = engine == EngineAuto
	f.engine, err = engine.live(surroundings{
		backend: f.loop.Backend().Name, direct: f.direct,
		runs:     f.loop.Supports(backend.OpRead) && f.loop.Supports(backend.OpWrite),
		linuxAIO: f.all.linuxAIO,
	}, by)
	if err != nil {
		return err
	}
	for o, codes := range nativeCodes {
		if f.supports(codes) {
			f.native |= 1 << o
		}
	}
	return nil
}

// nativeCodes are the operations that stand for each op.
var nativeCodes = [...][]backend.OpCode{
	opRead: {backend.OpRead, backend.OpReadv}, opWrite: {backend.OpWrite, backend.OpWritev},
	opSync: {backend.OpFsync}, opSyncData: {backend.OpFdatasync},
	opZero: {backend.OpFallocate}, opDiscard: {backend.OpFallocate},
}

func (f *File) supports(codes []backend.OpCode) bool {
	for _, code := range codes {
		if !f.loop.Supports(code) {
			return false
		}
	}
	return true
}

// Name returns what was given to Open or WithName.
func (f *File) Name() string { return f.name }

// FD returns the descriptor, which stays the File's.
func (f *File) FD() int { return f.fd }

// Engine returns the live engine and why it was chosen.
func (f *File) Engine() EngineInfo { return f.engine }

// Direct returns whether the file goes past the page cache, and then what offsets and lengths, and the
// addresses of buffers, are best multiples of, in bytes; see docs/files.md for what happens
// to others. Without O_DIRECT both are 1.
func (f *File) Direct() (direct bool, offsets, memory int) {
	return f.direct, int(max(f.offsets, 1)), int(max(f.memory, 1))
}

// Size returns how many bytes the file or the device has now. It does not wait for the disk.
func (f *File) Size() (int64, error) {
	if f.closed {
		return 0, &Error{Op: "size", Name: f.name, Err: os.ErrClosed}
	}
	if f.device {
		n, err := unix.Seek(f.fd, 0, io.SeekEnd)
		if err != nil {
			return 0, &Error{Op: "size", Name: f.name, Err: err}
		}
		return n, nil
	}
	var stat unix.Stat_t
	if err := unix.Fstat(f.fd, &stat); err != nil {
		return 0, &Error{Op: "size", Name: f.name, Err: err}
	}
	return stat.Size, nil
}

// Close ends the File. Requests that wait for others end with ECANCELED; those that are begun go on, and
// the descriptor is closed behind the last of them. Close does not sync: what was written may not be
// on the disk. It returns the error of close(2) if the descriptor was closed now, and os.ErrClosed
// for a second call.
func (f *File) Close() error {
	if err := f.loop.CheckHome(); err != nil && !errors.Is(err, aio.ErrClosed) {
		return &Error{Op: "close", Name: f.name, Err: err}
	}
	if f.closed {
		return &Error{Op: "close", Name: f.name, Err: os.ErrClosed}
	}
	f.closed, f.allowed = true, 0
	for r := f.waiting.first; r != nil; r = r.next {
		r.cancelled = true
	}
	f.depth = 1 << 30 // they end now
	f.startWaiting()
	if f.busy > 0 {
		return nil
	}
	return f.closeFD()
}

// lastOut closes the descriptor of a File that was closed, behind its last request.
func (f *File) lastOut() {
	if f.closed && f.busy == 0 && f.fd >= 0 {
		_ = f.closeFD()
	}
}

func (f *File) closeFD() error {
	f.all.remove(f)
	if f.registered >= 0 {
		_ = f.loop.UnregisterFile(f.registered) // it fails if the loop is closed, which does so
	}
	fd := f.fd
	f.fd = -1
	if err := unix.Close(fd); err != nil {
		return &Error{Op: "close", Name: f.name, Err: err}
	}
	return nil
}

// luck is how calls that need no waiting have fared. After some in vain, most requests of a file
// whose data is not in memory do without one.
type luck struct {
	impossible bool
	misses     uint8 // in a row
	skip       uint8 // this many do without
}

// promising reports whether the next request should try.
func (l *luck) promising() bool {
	switch {
	case l.impossible:
		return false
	case l.skip > 0:
		l.skip--
		return false
	}
	return true
}

func (l *luck) hit() { l.misses = 0 }

func (l *luck) miss() {
	l.misses++
	if l.misses >= 2 {
		l.misses = min(l.misses, 7)
		l.skip = 1 << (l.misses - 1) // at most 64
	}
}

// never is for a file that cannot tell what needs waiting.
func (l *luck) never() { l.impossible = true }
