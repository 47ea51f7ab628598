//go:build linux

// Command gnet is the peer that is an event loop written in Go: github.com/panjf2000/gnet.
//
// Each loop is a gnet client with one event loop, and is woken with
// EventLoop.Execute, which is how a goroutine hands work to one. Its options, its
// scenarios (pingpong and wake) and its output are those of the peers in C, see
// ../peer.h.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/logging"
	"golang.org/x/sys/unix"
)

const (
	version = "2.9.7"
	// mode is what the only one is called.
	mode = "execute"
	// confinedEnv says that the process is on its CPU already.
	confinedEnv = "AIOLOOP_PEER_CONFINED"
)

type config struct {
	scenario            string
	n, warmup           int
	warm, duration, gap time.Duration
	loop, other         int // CPUs; -1: not pinned
	raw                 bool
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	c, err := parse(args)
	if err != nil {
		return err
	}
	if err := c.confine(); err != nil {
		return err
	}
	m := &meter{config: c, samples: make([]uint64, 0, c.n), done: make(chan struct{})}
	loops := make([]gnet.EventLoop, 2)
	for i := range loops {
		if loops[i], err = newLoop(); err != nil {
			return err
		}
	}
	runtime.GC()
	debug.SetGCPercent(-1)
	switch c.scenario {
	case "pingpong":
		m.pingpong(loops[0], loops[1])
	case "wake":
		go m.produce(loops[0])
	default:
		return fmt.Errorf("gnet has no scenario %s", c.scenario)
	}
	<-m.done
	return m.report(os.Stdout)
}

func parse(args []string) (*config, error) {
	if len(args) == 0 || args[0] != mode {
		return nil, fmt.Errorf("usage: gnet %s [flags]", mode)
	}
	c := &config{loop: -1, other: -1}
	f := flag.NewFlagSet("gnet", flag.ContinueOnError)
	f.StringVar(&c.scenario, "scenario", "pingpong", "pingpong or wake")
	f.IntVar(&c.n, "n", 50000, "operations at most")
	f.IntVar(&c.warmup, "warmup", 2000, "operations before them")
	f.BoolVar(&c.raw, "raw", false, "print the samples too")
	micros := func(d *time.Duration, name string) {
		f.Func(name, "microseconds", func(s string) error {
			us, err := strconv.ParseUint(s, 10, 32)
			*d = time.Duration(us) * time.Microsecond
			return err
		})
	}
	micros(&c.warm, "warm_us")
	micros(&c.duration, "time_us")
	micros(&c.gap, "gap_us")
	f.Func("cpu", "the CPU of everything, or none", func(s string) error { return c.cpus(s + "," + s) })
	f.Func("cpus", "the CPU of the loop and that of who wakes it", c.cpus)
	if err := f.Parse(args[1:]); err != nil {
		return nil, err
	}
	if c.n < 1 {
		return nil, errors.New("-n has to be at least 1")
	}
	return c, nil
}

func (c *config) cpus(s string) (err error) {
	if s == "none,none" {
		return nil
	}
	loop, other, _ := strings.Cut(s, ",")
	if c.loop, err = strconv.Atoi(loop); err != nil {
		return err
	}
	c.other, err = strconv.Atoi(other)
	return err
}

// confine keeps all threads on the CPU of the loop: it starts the program again where
// they inherit it. GOMAXPROCS stays what it would have been.
func (c *config) confine() error {
	if c.loop < 0 || os.Getenv(confinedEnv) != "" {
		return nil
	}
	env := append(os.Environ(), confinedEnv+"=1", fmt.Sprintf("GOMAXPROCS=%d", runtime.GOMAXPROCS(0)))
	runtime.LockOSThread()
	if err := pin(c.loop); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", os.Args, env)
}

func pin(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("CPU %d: %w", cpu, err)
	}
	return nil
}

// newLoop returns the one loop of a client. A client makes its loop known through a
// connection that it serves.
func newLoop() (gnet.EventLoop, error) {
	client, err := gnet.NewClient(&gnet.BuiltinEventEngine{}, gnet.WithNumEventLoop(1), gnet.WithLogLevel(logging.ErrorLevel), gnet.WithLogger(silent{}))
	if err != nil {
		return nil, err
	}
	if err := client.Start(); err != nil {
		return nil, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(pair[0]), "socket") // its peer stays open as long as the process
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	served, err := client.Enroll(conn)
	if err != nil {
		return nil, err
	}
	return served.EventLoop(), nil
}

// silent keeps gnet's messages out of the output.
type silent struct{}

func (silent) Debugf(string, ...any) {}
func (silent) Infof(string, ...any)  {}
func (silent) Warnf(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

// meter takes the samples. It belongs to the loop that is measured in pingpong, and to
// the producer in wake.
type meter struct {
	*config
	samples   []uint64
	warmed    int
	measuring bool
	start     time.Duration
	cpuStart  time.Duration
	cpu       time.Duration
	aside     bool // the calling thread is not part of what is measured
	done      chan struct{}
	_         [64]byte
	heard     atomic.Int64
	_         [64]byte
}

var epoch = time.Now()

func now() time.Duration { return time.Since(epoch) }

func (m *meter) begin() {
	m.start = now()
	m.measuring = m.duration > 0 && m.warm == 0 || m.duration == 0 && m.warmup == 0
	m.cpuStart = m.used()
}

// take counts one sample and says whether another follows.
func (m *meter) take(at, sample time.Duration) bool {
	if !m.measuring {
		m.warmed++
		if m.duration > 0 && at-m.start >= m.warm || m.duration == 0 && m.warmed >= m.warmup {
			m.measuring, m.cpuStart, m.start = true, m.used(), now()
		}
		return true
	}
	m.samples = append(m.samples, uint64(sample))
	if len(m.samples) < m.n && (m.duration == 0 || at-m.start < m.duration) {
		return true
	}
	m.cpu = max(m.used()-m.cpuStart, 0)
	close(m.done)
	return false
}

func (m *meter) used() time.Duration {
	used := cpuTime(unix.RUSAGE_SELF)
	if m.aside {
		used -= cpuTime(unix.RUSAGE_THREAD)
	}
	return used
}

func cpuTime(who int) time.Duration {
	var u unix.Rusage
	if unix.Getrusage(who, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// task is a function for a loop.
type task func()

func (t task) Run(context.Context) error { t(); return nil }

func (m *meter) pingpong(a, b gnet.EventLoop) {
	ctx := context.Background()
	var last time.Duration
	var ping, pong gnet.Runnable
	ping = task(func() {
		at := now()
		if last == 0 {
			m.begin()
		} else if warming := !m.measuring; !m.take(at, at-last) {
			return
		} else if warming && m.measuring {
			at = m.start
		}
		last = at
		_ = b.Execute(ctx, pong)
	})
	pong = task(func() { _ = a.Execute(ctx, ping) })
	_ = a.Execute(ctx, ping)
}

// produce keeps a CPU busy for the gap, wakes the loop and waits for it.
func (m *meter) produce(loop gnet.EventLoop) {
	runtime.LockOSThread()
	if m.other >= 0 {
		if err := pin(m.other); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	ctx, t := context.Background(), gnet.Runnable(task(func() { m.heard.Store(int64(now())) }))
	m.aside = true
	m.begin()
	for {
		m.heard.Store(0)
		from := now()
		rang := from
		for rang-from < m.gap {
			rang = now()
		}
		_ = loop.Execute(ctx, t)
		for m.heard.Load() == 0 {
			if m.loop == m.other && m.loop >= 0 {
				runtime.Gosched()
				_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
			}
		}
		heard := time.Duration(m.heard.Load())
		if !m.take(heard, heard-rang) {
			return
		}
	}
}

// report prints a line of JSON and, if they were asked for, the samples behind it
// instead of the percentiles.
func (m *meter) report(w io.Writer) error {
	n := len(m.samples)
	out := fmt.Appendf(nil, "{\"peer\":\"gnet\",\"mode\":%q,\"scenario\":%q,\"pinned\":%t,\"cpus\":[%d,%d],\"n\":%d,\"samples\":%[6]d,\"batch\":1,",
		mode, m.scenario, m.loop >= 0, m.loop, m.other, n)
	if !m.raw {
		out = m.appendPercentiles(out)
	}
	out = fmt.Appendf(out, "\"cpu_ns_per_op\":%d,\"version\":%q}\n", int(m.cpu)/n, version)
	if m.raw {
		for _, s := range m.samples {
			out = binary.NativeEndian.AppendUint64(out, s)
		}
	}
	_, err := w.Write(out)
	return err
}

// appendPercentiles are nearest ranks, as those of the peers in C.
func (m *meter) appendPercentiles(out []byte) []byte {
	slices.Sort(m.samples)
	n := len(m.samples)
	for _, p := range []struct {
		name     string
		permille int
	}{{"p50", 500}, {"p90", 900}, {"p99", 990}, {"p999", 999}, {"max", 1000}} {
		rank := max((n*p.permille+999)/1000, 1)
		out = fmt.Appendf(out, "\"%s_ns\":%d,", p.name, m.samples[rank-1])
	}
	return out
}
