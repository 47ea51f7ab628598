package mainloop_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/mainloop"
)

// Settings decide which options a program gives.
func ExampleOption() {
	opts := []mainloop.Option{mainloop.WithName("vm")}
	if os.Getenv("VM_BACKEND") != "" {
		opts = append(opts, mainloop.WithAIO(aio.WithBackend(aio.Epoll)))
	}
	loop, err := mainloop.Init(opts...)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(loop.Close())
	// Output: <nil>
}

// Both contexts get the same options, and share a clock for example.
func ExampleWithAIO() {
	clock := aio.NewVirtualClock()
	loop, err := mainloop.Init(mainloop.WithAIO(aio.WithBackend(aio.Epoll), aio.WithVirtualClock(clock)))
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	fmt.Println(loop.AIO().Backend(), loop.IOHandler().Backend())
	loop.AIO().NewTimer(aio.Virtual, func() { loop.Stop(nil) }).Set(time.Hour)
	clock.Advance(time.Hour)
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// epoll (asked for) epoll (asked for)
	// <nil>
}

// The contexts of a named loop have its name.
func ExampleWithName() {
	loop, err := mainloop.Init(mainloop.WithName("vm"))
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	fmt.Println(loop.AIO().Name(), loop.IOHandler().Name())
	// Output: vm/aio vm/iohandler
}

// A signal that WithSignals names is not lost while it has no handler.
func ExampleWithSignals() {
	loop, err := mainloop.Init(mainloop.WithSignals(syscall.SIGUSR1))
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	_, err = loop.Signals().Handle(syscall.SIGUSR1, func(s mainloop.SignalInfo) {
		fmt.Println(s.Signal)
		loop.Stop(nil)
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// user defined signal 1
	// <nil>
}

// Another goroutine ends the loop, with a reason.
func ExampleLoop_Stop() {
	loop, err := mainloop.Init()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	go loop.Stop(errors.New("shut down"))
	fmt.Println(loop.Run(context.Background()))
	// Output: shut down
}

// A source with a descriptor: it is ready when that is, and Dispatch handles it.
func ExampleSource() {
	m, err := mainloop.NewMainContext()
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		log.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	read := false
	source, err := mainloop.NewSource("pipe", mainloop.Funcs{Dispatch: func() (keep bool) {
		var b [64]byte
		n, _ := unix.Read(pipe[0], b[:])
		fmt.Printf("%q\n", b[:n])
		read = true
		return true
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	if _, err := source.AddFD(pipe[0], unix.POLLIN); err != nil {
		log.Fatal(err)
	}
	if err := source.Attach(m); err != nil {
		log.Fatal(err)
	}
	unix.Write(pipe[1], []byte("hello"))
	for !read {
		m.Iterate()
	}
	// Output: "hello"
}

// A descriptor says what has happened on it. While no events are asked for, it is silent.
func ExampleFD() {
	m, err := mainloop.NewMainContext()
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	n, err := aio.NewEventNotifier()
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	n.Set()
	var fd *mainloop.FD
	source, err := mainloop.NewSource("eventfd", mainloop.Funcs{Dispatch: func() (keep bool) {
		fmt.Println("readable:", fd.Revents()&unix.POLLIN != 0)
		fd.Modify(0) // enough
		return true
	}})
	if err != nil {
		log.Fatal(err)
	}
	if fd, err = source.AddFD(n.FD(), unix.POLLIN); err != nil {
		log.Fatal(err)
	}
	source.Attach(m)
	m.TryIterate()
	m.TryIterate() // the notifier is set and not waited for
	fmt.Println(fd.Close(), source.Close())
	// Output:
	// readable: true
	// <nil> <nil>
}

// The phases of a source, in one turn.
func ExampleFuncs() {
	m, err := mainloop.NewMainContext()
	if err != nil {
		log.Fatal(err)
	}
	source, err := mainloop.NewSource("phases", mainloop.Funcs{
		Prepare:  func() (time.Duration, bool, error) { fmt.Println("prepare"); return 0, false, nil },
		Query:    func(fds []mainloop.PollFD) []mainloop.PollFD { fmt.Println("query"); return fds },
		Check:    func([]mainloop.PollFD) (bool, error) { fmt.Println("check"); return true, nil },
		Dispatch: func() (keep bool) { fmt.Println("dispatch"); return false },
		Finalize: func() { fmt.Println("finalize") },
	})
	if err != nil {
		log.Fatal(err)
	}
	source.Attach(m)
	m.Iterate()
	fmt.Println(m.Close())
	// Output:
	// prepare
	// query
	// check
	// dispatch
	// finalize
	// <nil>
}

// An aio.Context is a source like any other.
func ExampleNewAIOSource() {
	m, err := mainloop.NewMainContext()
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	source := mainloop.NewAIOSource("aio", loop)
	source.Attach(m)
	defer source.Close()
	done := false
	go loop.ScheduleOnce(func() { fmt.Println("hello"); done = true })
	for !done {
		m.Iterate()
	}
	// Output: hello
}

// A source that is ready at a point in time, in a MainContext without a Loop.
func ExampleMainContext() {
	m, err := mainloop.NewMainContext()
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	fired := false
	source, err := mainloop.NewSource("once", mainloop.Funcs{Dispatch: func() (keep bool) {
		fmt.Println("ready")
		fired = true
		return false // closes the source
	}})
	if err != nil {
		log.Fatal(err)
	}
	source.SetReadyTime(0) // a point of aio's Realtime clock, here in the past
	source.Attach(m)
	for !fired {
		m.Iterate()
	}
	fmt.Println(errors.Is(source.Close(), mainloop.ErrClosed))
	// Output:
	// ready
	// true
}

// A Poller adds a descriptor to each wait of a Loop.
func ExamplePoller() {
	loop, err := mainloop.Init()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	n, err := aio.NewEventNotifier()
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	set := false
	loop.AddPoller(mainloop.Poller{
		Fill: func(fds []mainloop.PollFD, timeout time.Duration) ([]mainloop.PollFD, time.Duration) {
			return append(fds, mainloop.PollFD{Fd: int32(n.FD()), Events: unix.POLLIN}), timeout
		},
		OK: func(fds []mainloop.PollFD) { set = fds[0].Revents&unix.POLLIN != 0 },
	})
	go n.Set()
	for !set {
		loop.Wait()
	}
	fmt.Println("set")
	// Output: set
}

// One source fails; the error names it, and the others go on.
func ExampleSourceError() {
	m, err := mainloop.NewMainContext()
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	source, err := mainloop.NewSource("disk", mainloop.Funcs{
		Prepare:  func() (time.Duration, bool, error) { return 0, false, errors.New("no medium") },
		Dispatch: func() (keep bool) { return true },
	})
	if err != nil {
		log.Fatal(err)
	}
	source.Attach(m)
	_, err = m.TryIterate()
	var failed *mainloop.SourceError
	if errors.As(err, &failed) {
		fmt.Println(failed.Source, "-", failed.Err)
	}
	// Output: disk - no medium
}

// A handler is closed like everything else, and another may take the signal.
func ExampleSignalHandler() {
	loop, err := mainloop.Init()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	ignore := func(mainloop.SignalInfo) {}
	first, err := loop.Signals().Handle(syscall.SIGUSR1, ignore)
	if err != nil {
		log.Fatal(err)
	}
	_, err = loop.Signals().Handle(syscall.SIGUSR1, ignore)
	fmt.Println(errors.Is(err, mainloop.ErrSignalHandled))
	fmt.Println(first.Close())
	_, err = loop.Signals().Handle(syscall.SIGUSR1, ignore)
	fmt.Println(err)
	// Output:
	// true
	// <nil>
	// <nil>
}

// What is wrong with a signal.
func ExampleSignalError() {
	_, err := mainloop.Init(mainloop.WithSignals(syscall.SIGKILL))
	var wrong *mainloop.SignalError
	if errors.As(err, &wrong) {
		fmt.Println(wrong.Signal, "-", wrong.Err)
	}
	// Output: killed - the kernel lets no process catch or block it
}

// Only a signalfd knows the sender, so a program asks how the signal has come.
func ExampleSignalInfo() {
	loop, err := mainloop.Init()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	_, err = loop.Signals().Handle(syscall.SIGUSR2, func(s mainloop.SignalInfo) {
		if s.Mode == mainloop.SignalFD && s.Code == mainloop.CodeUser {
			log.Print("sent by process ", s.PID)
		}
		loop.Stop(fmt.Errorf("%v", s.Signal))
	})
	if err != nil {
		log.Fatal(err)
	}
	go syscall.Kill(os.Getpid(), syscall.SIGUSR2)
	fmt.Println(loop.Run(context.Background()))
	// Output: user defined signal 2
}

// The way of a signal, and why it is that one.
func ExampleSignalMode() {
	loop, err := mainloop.Init(mainloop.WithSignals(syscall.SIGTERM))
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	mode, reason := loop.Signals().Mode(syscall.SIGTERM)
	fmt.Println(mode)
	fmt.Println(reason)
	// Output:
	// os/signal
	// the Go runtime keeps it unblocked in every thread: handle it without blocking it
}

// Codes have the names of sigaction(2).
func ExampleSignalCode() {
	fmt.Println(mainloop.CodeUser, mainloop.CodeQueue, mainloop.CodeTimer)
	// Output: SI_USER SI_QUEUE SI_TIMER
}
