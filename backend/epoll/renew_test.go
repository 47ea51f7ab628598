package epoll

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
)

// failingFile returns a descriptor that reports an error: a pipe without a reader.
func failingFile(t *testing.T) int {
	t.Helper()
	r, w := pipe(t)
	unix.Close(r)
	return w
}

// Trap 34: only epoll remembers what it waits on. A file that reported an error may have
// got its wait queue since, so Modify adds it again; other files are modified in one call.
func TestTrap34_ModifyAddsAFailingFileAgain(t *testing.T) {
	for name, c := range map[string]struct {
		fd   int
		want int
	}{"failing": {failingFile(t), 2}, "good": {eventfd(t, 0), 1}} {
		p := newPoller(t)
		add(t, p, c.fd, backend.In, 1)
		calls, lift := failing(t, "", 0, 0)
		if err := p.Modify(c.fd, backend.Out, 2); err != nil {
			t.Fatal(err)
		}
		lift()
		if calls[sys.CallEpollCtl] != c.want {
			t.Errorf("%s: Modify makes %d calls of epoll_ctl, want %d", name, calls[sys.CallEpollCtl], c.want)
		}
		if got := wait(t, p, 0); len(got) != 1 || got[0].Tag != 2 {
			t.Errorf("%s: got %v, want tag 2", name, got)
		}
	}
}

// A Modify that fails leaves the old registration, though it was removed for a moment.
func TestTrap34_FailedModifyKeepsTheRegistration(t *testing.T) {
	p, fd := newPoller(t), failingFile(t)
	add(t, p, fd, backend.In, 1)
	calls := 0
	restore := sys.Inject(func(c sys.Call) (f sys.Fault) {
		if c == sys.CallEpollCtl {
			if calls++; calls == 2 { // the second one adds
				f.Errno = unix.ENOSPC
			}
		}
		return f
	})
	err := p.Modify(fd, backend.Out, 2)
	restore()
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("Modify: %v, want ENOSPC", err)
	}
	if got := wait(t, p, 0); len(got) != 1 || got[0].Tag != 1 {
		t.Errorf("got %v, want tag 1", got)
	}
}

// Trap 39: epoll alone refuses descriptors of its own kind.
func TestTrap39_EpollDescriptorsNestNoDeeper(t *testing.T) {
	p := newPoller(t)
	fd := eventfd(t, 0)
	for depth := 1; ; depth++ {
		if depth > 10 {
			t.Fatal("there is no limit")
		}
		outer, err := sys.EpollCreate1()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(outer) })
		if err := unix.EpollCtl(outer, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{}); err != nil {
			t.Fatal(err)
		}
		fd = outer
		if err := p.Add(fd, backend.In, 1); err != nil {
			saysNest(t, err)
			break
		}
		if err := p.Remove(fd); err != nil {
			t.Fatal(err)
		}
	}
	saysNest(t, p.Add(p.PollFD(), backend.In, 2))
	if p.table.Len() != 0 {
		t.Errorf("%d registrations are left", p.table.Len())
	}
}

func saysNest(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, unix.ELOOP) || !strings.Contains(err.Error(), "nest") {
		t.Errorf("got %v, want ELOOP and a word about nesting", err)
	}
}

// A number that means a regular file by the time of a rebuild, which closed it without
// Remove, does not keep the new instance from being made.
func TestRebuildBesideARegularFile(t *testing.T) {
	p := newPoller(t)
	a, w := pipe(t)
	b, _ := pipe(t)
	dup(t, a) // keeps the file open
	add(t, p, a, backend.In, 1)
	add(t, p, b, backend.In, 2)
	file, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := unix.Dup3(int(file.Fd()), b, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(b) })
	unix.Close(a)
	if err := p.Remove(a); err != nil {
		t.Fatal(err)
	}
	_, _ = unix.Write(w, []byte("x"))
	for range 3 {
		wait(t, p, 0)
	}
	if p.orphaned {
		t.Error("the old instance is still there")
	}
}
