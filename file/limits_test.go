//go:build linux

package file

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/testkit"
)

// What happens at limits: of a filesystem, a file, memory, locked memory, threads. Those of a process
// are tried in a process of its own.

// smallFilesystem is a tmpfs of so many bytes, which is mounted nowhere.
func smallFilesystem(t *testing.T, size int) (dir string) {
	t.Helper()
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Skip("skipped: no filesystems for this user: ", err)
	}
	defer unix.Close(fs)
	testkit.Must(t, unix.FsconfigSetString(fs, "size", strconv.Itoa(size)))
	testkit.Must(t, unix.FsconfigCreate(fs))
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		t.Skip("skipped: no mounts for this user: ", err)
	}
	t.Cleanup(func() { unix.Close(mount) })
	return fmt.Sprintf("/proc/self/fd/%d", mount)
}

// A write to a filesystem that becomes full says how much it has written, and that it was full.
func TestTrap49_NoRoom(t *testing.T) {
	eachVariant(t, func(t *testing.T, s *setup) {
		const room = 1 << 16
		s.dir = smallFilesystem(t, room)
		f := s.open(filepath.Join(s.dir, "file"), os.O_RDWR|os.O_CREATE)
		data := patterned(4*room, 0, 2)
		n, err := s.do(f.Write, &Request{Buf: data})
		var e *Error
		if !errors.Is(err, unix.ENOSPC) || !errors.As(err, &e) || e.Length != 4*room || !strings.Contains(err.Error(), "full") || n > room {
			t.Fatalf("write: %d, %v", n, err)
		}
		got, err := os.ReadFile(f.Name())
		if s.must(err); int64(len(got)) < n || !bytes.Equal(got[:n], data[:n]) {
			t.Errorf("N is %d, the file has %d bytes, or other ones", n, len(got))
		}
		if _, err := s.do(f.Zero, &Request{Offset: 0, Length: 8 * room}); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("zero: %v", err)
		}
		s.must(unix.Ftruncate(f.FD(), 0)) // there is room again
		if n, err := s.do(f.Write, &Request{Buf: data[:room/2]}); n != room/2 || err != nil {
			t.Errorf("when there is room: %d, %v", n, err)
		}
	})
}

// The file under a loop device has no room: writes succeed, and the sync tells (trap 50).
func TestTrap50_DiskWithoutRoom(t *testing.T) {
	const room, size = 1 << 18, 1 << 20
	backing := filepath.Join(smallFilesystem(t, room), "disk")
	testkit.Must(t, errors.Join(os.WriteFile(backing, nil, 0o600), os.Truncate(backing, size)))
	disk := loopDisk(t, backing)
	for _, b := range []aio.Backend{aio.Epoll, aio.IOUring} {
		t.Run(b.String(), func(t *testing.T) {
			s := newSetup(t, variant{backend: b, mode: aio.ModeThread})
			f := s.open(disk, os.O_RDWR)
			if n, err := s.do(f.Write, &Request{Buf: make([]byte, size)}); n != size || err != nil {
				t.Fatalf("write: %d, %v", n, err)
			}
			for range 2 {
				_, err := s.do(f.SyncData, &Request{})
				if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EIO) {
					t.Errorf("sync: %v", err)
				}
			}
		})
	}
}

func init() {
	children["file size"] = func(dir string) error {
		signal.Ignore(unix.SIGXFSZ) // or it ends the process
		const limit = 1 << 16
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			return err
		}
		return eachCircumstance(dir, func(s *solo, f *File) error {
			n, err := s.do(f.Write, &Request{Buf: f.Buffer(2 * limit)})
			if n != limit && n != 0 || !errors.Is(err, unix.EFBIG) || !strings.Contains(err.Error(), "RLIMIT_FSIZE") {
				return fmt.Errorf("write: %d, %w", n, err)
			}
			return nil
		})
	}
	children["locked memory"] = func(dir string) error {
		if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{}); err != nil {
			return err
		}
		return eachCircumstance(dir, func(s *solo, f *File) error {
			fmt.Println(s.loop.Backend(), f.Engine())
			return exerciseAlone(s, f)
		})
	}
	children["memory"] = withLittleMemory
	children["threads"] = withoutThreads
}

func TestFileThatIsTooLarge(t *testing.T) { inChild(t, "file size", nil) }

// Without locked memory, on kernels that count rings as such, the backend is another one, and with it
// the engine.
func TestTrap22_NoLockedMemory(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("skipped: only root can become a user without privileges")
	}
	const nobody = 65534
	inChild(t, "locked memory", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}})
}

// solo is setup for a child.
type solo struct{ loop *aio.Context }

func (s *solo) do(call func(*Request) error, r *Request) (int64, error) {
	done := false
	r.Done = func(*Request) { done = true }
	if err := call(r); err != nil {
		return 0, err
	}
	for !done {
		if _, err := s.loop.Poll(); err != nil {
			return 0, err
		}
	}
	return r.N, r.Err
}

// eachCircumstance runs do with a new file, for each backend that is there, with and without O_DIRECT.
func eachCircumstance(dir string, do func(s *solo, f *File) error) error {
	for _, b := range []aio.Backend{aio.Auto, aio.Ppoll, aio.Epoll, aio.IOUring} {
		for _, flags := range []int{0, unix.O_DIRECT} {
			err := inCircumstance(filepath.Join(dir, "file"), b, flags, do)
			if err != nil {
				return fmt.Errorf("%v, flags %#x: %w", b, flags, err)
			}
		}
	}
	return nil
}

func inCircumstance(name string, b aio.Backend, flags int, do func(s *solo, f *File) error) error {
	loop, err := aio.New(aio.WithBackend(b), aio.WithMode(aio.ModeThread))
	if b == aio.IOUring && errors.Is(err, backend.ErrUnavailable) {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := Open(loop, name, os.O_RDWR|os.O_CREATE|os.O_TRUNC|flags)
	if flags != 0 && errors.Is(err, unix.EINVAL) { // no O_DIRECT here
		return loop.Close()
	}
	if err != nil {
		return errors.Join(err, loop.Close())
	}
	if err = do(&solo{loop}, f); err != nil {
		err = fmt.Errorf("%v on %v: %w", f.Engine(), loop.Backend(), err)
	}
	return errors.Join(err, f.Close(), loop.Close())
}

// exerciseAlone does each kind of request.
func exerciseAlone(s *solo, f *File) error {
	const size = 1 << 16
	want := patterned(size, 0, 3)
	if n, err := s.do(f.Write, &Request{Buf: want}); n != size || err != nil {
		return fmt.Errorf("write: %d, %w", n, err)
	}
	if _, err := s.do(f.Sync, &Request{}); err != nil {
		return err
	}
	if _, err := s.do(f.Zero, &Request{Offset: 4096, Length: 8192}); err != nil && !tellsOfFilter(err) {
		return err
	} else if err == nil {
		clear(want[4096 : 4096+8192])
	}
	if _, err := s.do(f.Discard, &Request{Offset: 16384, Length: 4096}); err == nil {
		clear(want[16384 : 16384+4096])
	} else if !errors.Is(err, errors.ErrUnsupported) && !tellsOfFilter(err) {
		return err
	}
	if n, err := s.do(f.Extent, &Request{}); n == 0 || err != nil {
		return fmt.Errorf("extent: %d, %w", n, err)
	}
	if got, err := f.Size(); got != size || err != nil {
		return fmt.Errorf("size: %d, %w", got, err)
	}
	buf := f.Buffer(size)
	if n, err := s.do(f.Read, &Request{Buf: buf}); n != size || err != nil || !bytes.Equal(buf, want) {
		return fmt.Errorf("read: %d, or other data, %w", n, err)
	}
	return nil
}

// tellsOfFilter reports whether an error says that a filter forbids a call.
func tellsOfFilter(err error) bool {
	return (errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS)) && strings.Contains(err.Error(), "seccomp")
}

// Where groups of processes are limited, in versions 1 and 2.
const (
	cgroups       = "/sys/fs/cgroup"
	cgroupPids    = cgroups + "/pids"
	cgroupMemory  = cgroups + "/memory"
	cgroupUnified = cgroups + "/unified"
)

func groupBelow(root string, pid int) string { return fmt.Sprintf("%s/aioloop-file-%d", root, pid) }

// joinCgroup puts this process into a new group below root, with a limit.
func joinCgroup(root, limit, value string) (dir string, leave func(), err error) {
	dir = groupBelow(root, os.Getpid())
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", nil, skipped("no cgroup that can be made: ", err)
	}
	leave = func() {
		_ = os.WriteFile(root+"/cgroup.procs", []byte("0"), 0)
		_ = os.Remove(dir)
	}
	err = os.WriteFile(dir+"/"+limit, []byte(value), 0)
	if err == nil {
		err = os.WriteFile(dir+"/cgroup.procs", []byte("0"), 0)
	}
	if err != nil {
		leave()
		return "", nil, skipped("no cgroup with a limit: ", err)
	}
	return dir, leave, nil
}

// Memory is scarce: a file that is larger than what there is is written and read, in each way.
func TestLittleMemory(t *testing.T) { inChild(t, "memory", nil) }

func withLittleMemory(dir string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return err
	}
	if fs.Type == unix.TMPFS_MAGIC {
		return skipped("files are in memory here, and count as such")
	}
	limit := strconv.Itoa(40 << 20)
	_, leave, err := joinCgroup(cgroupMemory, "memory.limit_in_bytes", limit)
	for _, root := range []string{cgroupUnified, cgroups} {
		if err != nil {
			_, leave, err = joinCgroup(root, "memory.max", limit)
		}
	}
	if err != nil {
		return err
	}
	defer leave()
	return eachCircumstance(dir, func(s *solo, f *File) error {
		const size, depth = 64 << 20, 8
		for _, call := range []func(*Request) error{f.Write, f.Read} {
			if err := s.stream(f, call, size, depth); err != nil {
				return err
			}
		}
		return unix.Ftruncate(f.FD(), 0) // the next file finds room on the disk
	})
}

// stream writes or reads a whole file in blocks, depth at a time. Each page begins with where it is.
func (s *solo) stream(f *File, call func(*Request) error, size int64, depth int) (err error) {
	const block, page = 1 << 18, 4096
	next, running := int64(0), 0
	var submit func(r *Request)
	fail := func(why error) { err = errors.Join(err, why) }
	submit = func(r *Request) {
		if next == size || err != nil {
			return
		}
		r.Offset = next
		next += block
		running++
		for at := int64(0); at < block; at += page { // a read replaces it
			binary.LittleEndian.PutUint64(r.Buf[at:], uint64(r.Offset+at))
		}
		if err := call(r); err != nil {
			running--
			fail(err)
		}
	}
	for range depth {
		r := &Request{Buf: f.Buffer(block)}
		r.Done = func(r *Request) {
			running--
			if r.N != block || r.Err != nil {
				fail(fmt.Errorf("%d: %w", r.N, r.Err))
			}
			for at := int64(0); at < block && err == nil; at += page {
				if got := binary.LittleEndian.Uint64(r.Buf[at:]); got != uint64(r.Offset+at) {
					fail(fmt.Errorf("at %d there is %d", r.Offset+at, got))
				}
			}
			submit(r)
		}
		submit(r)
	}
	for running > 0 {
		if _, err := s.loop.Poll(); err != nil {
			return err
		}
	}
	return err
}

// No thread can be made (pids.max). A ring has no worker for a sync then: it says so, and the next one
// may succeed. The pool's workers run on the threads that Go has.
func TestTrap38_SyncWithoutAWorkerThread(t *testing.T) { inChild(t, "threads", nil) }

func withoutThreads(dir string) error {
	group, leave, err := joinCgroup(cgroupPids, "pids.max", "max")
	if err != nil {
		return err
	}
	defer leave()
	for _, b := range []aio.Backend{aio.Epoll, aio.IOUring} {
		ended := make(chan error)
		go func() { ended <- inCircumstance(filepath.Join(dir, "file"), b, 0, withoutThreadsFor(group)) }()
		if err := <-ended; err != nil {
			return fmt.Errorf("%v: %w", b, err)
		}
	}
	return nil
}

func withoutThreadsFor(group string) func(s *solo, f *File) error {
	return func(s *solo, f *File) error {
		makeThreads(24)
		if n, err := s.do(f.Write, &Request{Buf: patterned(100, 0, 1)}); n != 100 || err != nil {
			return fmt.Errorf("write: %d, %w", n, err)
		}
		current, err := os.ReadFile(group + "/pids.current")
		if err != nil {
			return err
		}
		limit := func(n string) error { return os.WriteFile(group+"/pids.max", []byte(n), 0) }
		if err := limit(string(current)); err != nil {
			return err
		}
		buf := make([]byte, 100)
		if n, err := s.do(f.Read, &Request{Buf: buf}); n != 100 || err != nil || !bytes.Equal(buf, patterned(100, 0, 1)) {
			return fmt.Errorf("read: %d, %w", n, err)
		}
		if err := s.syncWithoutThreads(f, limit); err != nil {
			return err
		}
		if err := limit("max"); err != nil {
			return err
		}
		_, err = s.do(f.Sync, &Request{})
		return err
	}
}

// syncWithoutThreads: Linux 5.10 goes on trying to make a worker. There the limit is raised when the
// request is under way.
func (s *solo) syncWithoutThreads(f *File, limit func(string) error) error {
	_, err := s.do(func(r *Request) error {
		var u unix.Utsname
		err := errors.Join(unix.Uname(&u), f.Sync(r))
		if strings.HasPrefix(unix.ByteSliceToString(u.Release[:]), "5.") {
			err = errors.Join(err, limit("max"))
		}
		return err
	}, &Request{})
	if err != nil && (!errors.Is(err, unix.EAGAIN) || !strings.Contains(err.Error(), "pids.max")) {
		return err
	}
	fmt.Println(f.Engine().Engine, "says", err)
	return nil
}

// makeThreads has the runtime make the threads that it may need later.
func makeThreads(n int) {
	var all, ended sync.WaitGroup
	all.Add(n)
	for range n {
		ended.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			all.Done()
			all.Wait()
		})
	}
	ended.Wait()
}
