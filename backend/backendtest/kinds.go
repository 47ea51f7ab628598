package backendtest

import (
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

var kindChecks = []check{
	{name: "trap21_all_kinds_of_files_as_poll2_says", run: allKinds},
	{name: "trap21_always_ready_files_come_and_go", run: alwaysReadyComeAndGo},
	{name: "trap21_always_ready_but_not_for_this", run: alwaysReadyButNotForThis},
	{name: "pri_is_reported", run: priIsReported},
}

// kind is a kind of file: a descriptor that is idle, and what makes it ready.
type kind struct {
	name string
	make func(*home) (fd int, trigger func())
}

var kinds = []kind{
	{"regular file", func(h *home) (int, func()) { return h.file("content").fd, nothing }},
	{"file at its end", func(h *home) (int, func()) { return h.file("").fd, nothing }},
	{"/dev/null", func(h *home) (int, func()) { return h.opens("/dev/null", unix.O_RDWR).fd, nothing }},
	{"/dev/zero", func(h *home) (int, func()) { return h.opens("/dev/zero", unix.O_RDWR).fd, nothing }},
	{"/proc file", func(h *home) (int, func()) { return h.opens("/proc/self/status", unix.O_RDONLY).fd, nothing }},
	{"directory", func(h *home) (int, func()) { return h.opens("/", unix.O_RDONLY).fd, nothing }},
	{"memfd", makeMemfd},
	{"tty", func(h *home) (int, func()) {
		master, tty := h.pty()
		return tty.fd, func() { master.write("line\n") }
	}},
	{"pty master", func(h *home) (int, func()) {
		master, tty := h.pty()
		return master.fd, func() { tty.write("line\n") }
	}},
	{"pipe", func(h *home) (int, func()) {
		r, w := h.pipe()
		return r.fd, func() { w.write("x") }
	}},
	{"full pipe", makeFullPipe},
	{"fifo", makeFIFO},
	{"socket", func(h *home) (int, func()) {
		a, b := h.socketpair()
		return a.fd, func() { b.write("x") }
	}},
	{"listening socket", makeListener},
	{"eventfd", func(h *home) (int, func()) {
		e := h.eventfd(0)
		return e.fd, e.signal
	}},
	{"timerfd", makeTimerfd},
	{"signalfd", makeSignalfd},
	{"inotify", makeInotify},
	{"pidfd", makePidfd},
	{"epoll", func(h *home) (int, func()) {
		epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		h.must("epoll_create1", err)
		e := h.eventfd(0)
		h.must("epoll_ctl", unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, e.fd, &unix.EpollEvent{Events: unix.EPOLLIN}))
		return h.descriptor(epfd).fd, e.signal
	}},
}

func nothing() {}

// allKinds compares what the Poller reports with what poll(2) says, for each kind
// and each set of events, before and after something happens.
func allKinds(h *home) {
	for _, k := range kinds {
		fd, trigger := k.make(h)
		for _, step := range []string{"idle", "after it happened"} {
			for _, asked := range []backend.Events{0, backend.In, backend.Out, backend.Pri, backend.RdHup, backend.In | backend.Out} {
				h.asPoll2Says(fmt.Sprintf("%s, %s, asked for %v", k.name, step, asked), fd, asked)
			}
			if step == "idle" {
				trigger()
			}
		}
	}
}

func (h *home) asPoll2Says(what string, fd int, asked backend.Events) {
	h.Helper()
	if err := h.p.Add(fd, asked, 1); err != nil {
		h.Errorf("%s: %v", what, err)
		return
	}
	for range 2 { // it is level-triggered: twice the same
		if got, want := h.settle()[1], h.poll2(fd, asked); got != want {
			h.Errorf("%s: got %v, poll(2) says %v", what, got, want)
		}
	}
	h.remove(fd)
	h.never(1)
}

// Nothing of a file that is always ready may stay behind.
func alwaysReadyComeAndGo(h *home) {
	f, null, e := h.file(""), h.opens("/dev/null", unix.O_RDWR), h.eventfd(0)
	h.add(e.fd, backend.In, 1)
	for range 5 {
		h.add(f.fd, backend.In, 2)
		h.add(null.fd, backend.Out, 3)
		if got := h.settle(); got[2] != backend.In || got[3] != backend.Out || len(got) != 2 {
			h.Fatalf("got %v, want in of tag 2 and out of tag 3", got)
		}
		h.modify(f.fd, backend.Out, 4)
		if got := h.settle(); got[4] != backend.Out || len(got) != 2 {
			h.Fatalf("got %v, want out of tags 4 and 3", got)
		}
		h.remove(f.fd)
		h.never(4)
		h.modify(null.fd, 0, 5)
		h.quiet()
		h.modify(null.fd, backend.In|backend.Out, 6)
		h.expectAll(6, backend.In|backend.Out)
		h.remove(null.fd)
		h.quiet()
	}
	e.signal()
	h.expect(1)
}

// A file that is always ready for In and Out is never ready for Pri: it must not
// keep Wait from sleeping.
func alwaysReadyButNotForThis(h *home) {
	for _, asked := range []backend.Events{0, backend.Pri, backend.RdHup, backend.Pri | backend.Edge} {
		f := h.file("")
		h.add(f.fd, asked, 1)
		h.quiet()
		h.modify(f.fd, backend.In, 2)
		h.expect(2)
		h.modify(f.fd, asked, 3)
		h.quiet()
		h.remove(f.fd)
	}
}

func priIsReported(h *home) {
	a, b := h.tcpPair()
	h.add(a.fd, backend.Pri, 1)
	h.quiet()
	h.must("send", unix.Sendto(b.fd, []byte("!"), unix.MSG_OOB, nil))
	if got := h.expect(1); got != backend.Pri {
		h.Errorf("got %v, want pri", got)
	}
	oob := make([]byte, 1)
	_, _, err := unix.Recvfrom(a.fd, oob, unix.MSG_OOB)
	h.must("recv", err)
	h.settle()
	b.write("ordinary data is not urgent")
	h.strictlyQuiet()
	h.modify(a.fd, backend.In|backend.Pri, 2)
	for range 2 {
		if got := h.expect(2); got != backend.In {
			h.Errorf("got %v, want in", got)
		}
		_, _ = a.tryRead(100) // the stack may tell twice of what arrives late
		h.settle()
		b.write("more of it")
	}
}

func makeMemfd(h *home) (int, func()) {
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	h.must("memfd_create", err)
	return h.descriptor(fd).fd, nothing
}

func makeFullPipe(h *home) (int, func()) {
	r, w := h.pipe()
	n := 0
	for block := make([]byte, 4096); ; n += len(block) {
		if _, err := unix.Write(w.fd, block); err != nil {
			break
		}
	}
	return w.fd, func() { r.read(n) }
}

func makeFIFO(h *home) (int, func()) {
	name := filepath.Join(h.TempDir(), "fifo")
	h.must("mkfifo", unix.Mkfifo(name, 0o600))
	fifo := h.opens(name, unix.O_RDWR|unix.O_NONBLOCK)
	return fifo.fd, func() { fifo.write("x") }
}

func makeListener(h *home) (int, func()) {
	listener, address := h.listen()
	return listener.fd, func() {
		c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		h.must("socket", err)
		h.must("connect", unix.Connect(h.descriptor(c).fd, address))
		h.eventually("the connection", func() bool { return h.poll2(listener.fd, backend.In) != 0 })
	}
}

func (h *home) listen() (*descriptor, unix.Sockaddr) {
	h.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	h.must("socket", err)
	listener := h.descriptor(fd)
	h.must("bind", unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	h.must("listen", unix.Listen(fd, 8))
	address, err := unix.Getsockname(fd)
	h.must("getsockname", err)
	return listener, address
}

func (h *home) tcpPair() (a, b *descriptor) {
	h.Helper()
	listener, address := h.listen()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	h.must("socket", err)
	b = h.descriptor(fd)
	h.must("connect", unix.Connect(b.fd, address))
	accepted, _, err := unix.Accept4(listener.fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	h.must("accept4", err)
	return h.descriptor(accepted), b
}

func makeTimerfd(h *home) (int, func()) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	h.must("timerfd_create", err)
	return h.descriptor(fd).fd, func() {
		h.must("timerfd_settime", unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Value: unix.Timespec{Nsec: 1}}, nil))
		h.eventually("the timer", func() bool { return h.poll2(fd, backend.In) != 0 })
	}
}

// makeSignalfd blocks the signal in the home thread and sends it there.
func makeSignalfd(h *home) (int, func()) {
	var set, old unix.Sigset_t
	n := unix.SIGUSR2 - 1
	wordBits := 8 * int(unsafe.Sizeof(set.Val[0]))
	set.Val[int(n)/wordBits] |= 1 << (int(n) % wordBits)
	h.must("pthread_sigmask", unix.PthreadSigmask(unix.SIG_BLOCK, &set, &old))
	fd, err := unix.Signalfd(-1, &set, unix.SFD_CLOEXEC|unix.SFD_NONBLOCK)
	h.must("signalfd", err)
	d := h.descriptor(fd)
	h.Cleanup(func() { // take the signal back before it can be delivered
		_, _ = d.tryRead(128)
		_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
	})
	return fd, func() { h.must("tgkill", unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGUSR2)) }
}

func makeInotify(h *home) (int, func()) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	h.must("inotify_init1", err)
	dir := h.TempDir()
	_, err = unix.InotifyAddWatch(fd, dir, unix.IN_CREATE)
	h.must("inotify_add_watch", err)
	return h.descriptor(fd).fd, func() {
		h.must("create", os.WriteFile(filepath.Join(dir, "new"), nil, 0o600))
	}
}

func makePidfd(h *home) (int, func()) {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	h.must("pidfd_open (Linux 5.3)", err)
	return h.descriptor(fd).fd, nothing
}
