package backendtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Descriptors for tests. Each is closed at the end of the subtest, if the test has
// not done so, before the Poller is: a Poller gets along with that.

func (h *home) close(fd int) {
	h.Helper()
	h.must("close", unix.Close(fd))
}

// eventfd returns one that is counter times written. The test closes it or leaves
// that to the end.
func (h *home) eventfd(counter uint) *descriptor {
	h.Helper()
	fd, err := unix.Eventfd(counter, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	h.must("eventfd", err)
	return h.descriptor(fd)
}

// pipe returns the two ends of a non-blocking pipe.
func (h *home) pipe() (r, w *descriptor) {
	h.Helper()
	return h.pipeWith(unix.O_NONBLOCK)
}

func (h *home) pipeWith(flags int) (r, w *descriptor) {
	h.Helper()
	var p [2]int
	h.must("pipe2", unix.Pipe2(p[:], flags|unix.O_CLOEXEC))
	return h.descriptor(p[0]), h.descriptor(p[1])
}

// socketpair returns two connected stream sockets.
func (h *home) socketpair() (a, b *descriptor) {
	h.Helper()
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	h.must("socketpair", err)
	return h.descriptor(p[0]), h.descriptor(p[1])
}

// file returns a regular file of that content.
func (h *home) file(content string) *descriptor {
	h.Helper()
	name := filepath.Join(h.TempDir(), "file")
	h.must("write", os.WriteFile(name, []byte(content), 0o600))
	return h.opens(name, unix.O_RDWR)
}

func (h *home) opens(name string, flags int) *descriptor {
	h.Helper()
	fd, err := unix.Open(name, flags|unix.O_CLOEXEC, 0)
	h.must("open "+name, err)
	return h.descriptor(fd)
}

// descriptor is a file descriptor that is closed once.
type descriptor struct {
	h      *home
	fd     int
	closed bool
}

func (h *home) descriptor(fd int) *descriptor {
	d := &descriptor{h: h, fd: fd}
	h.Cleanup(func() {
		if !d.closed {
			unix.Close(d.fd)
		}
	})
	return d
}

func (d *descriptor) close() {
	d.h.Helper()
	d.closed = true
	d.h.close(d.fd)
}

// dup returns another number for the same open file.
func (d *descriptor) dup() *descriptor {
	d.h.Helper()
	fd, err := unix.FcntlInt(uintptr(d.fd), unix.F_DUPFD_CLOEXEC, 3)
	d.h.must("dup", err)
	return d.h.descriptor(fd)
}

// takes makes d's number, which is closed, another number of the file other.
func (d *descriptor) takes(other *descriptor) {
	d.h.Helper()
	d.h.must("dup3", unix.Dup3(other.fd, d.fd, unix.O_CLOEXEC))
	d.closed = false
}

func (d *descriptor) write(s string) {
	d.h.Helper()
	_, err := unix.Write(d.fd, []byte(s))
	d.h.must("write", err)
}

// signal adds 1 to an eventfd. It may be called from any goroutine.
func (d *descriptor) signal() {
	if _, err := unix.Write(d.fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}[:]); err != nil {
		d.h.Errorf("write to the eventfd: %v", err)
	}
}

// read reads at most n bytes and returns what it got; "" at the end of the file.
func (d *descriptor) read(n int) string {
	d.h.Helper()
	s, err := d.tryRead(n)
	d.h.must("read", err)
	return s
}

func (d *descriptor) tryRead(n int) (string, error) {
	buf := make([]byte, n)
	got, err := unix.Read(d.fd, buf)
	return string(buf[:max(got, 0)]), err
}

// drain reads an eventfd, which sets it to 0.
func (d *descriptor) drain() {
	d.h.Helper()
	d.read(8)
}

// openFiles is how many descriptors the process has open.
func (h *home) openFiles() int {
	h.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	h.must("/proc/self/fd", err)
	return len(entries)
}

// threadNames are those of all threads of this process.
func (h *home) threadNames() []string {
	h.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/comm")
	h.must("/proc/self/task", err)
	var names []string
	for _, task := range tasks {
		if b, err := os.ReadFile(task); err == nil { // else the thread has just ended
			names = append(names, strings.TrimSpace(string(b)))
		}
	}
	return names
}

// pty returns the two ends of a pseudo-terminal.
func (h *home) pty() (master, tty *descriptor) {
	h.Helper()
	master = h.opens("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK)
	n, err := unix.IoctlGetInt(master.fd, unix.TIOCGPTN)
	h.must("TIOCGPTN", err)
	h.must("TIOCSPTLCK", unix.IoctlSetPointerInt(master.fd, unix.TIOCSPTLCK, 0))
	return master, h.opens(fmt.Sprintf("/dev/pts/%d", n), unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK)
}
