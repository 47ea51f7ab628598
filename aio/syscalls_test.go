package aio

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/sys"

	"github.com/aioloop/aioloop/internal/feature"
)

// How many system calls each operation makes is in docs/syscalls.md. The tests
// here read its table, so that it is neither wrong nor out of date.

const syscallsDoc = "../docs/syscalls.md"

// calls counts system calls by name, countedCalls those of operations.
type (
	calls        map[string]int
	countedCalls map[string]calls
)

// The columns of the table, and the Contexts that they are about.
var syscallColumns = []struct {
	name    string
	backend Backend
	mode    Mode
}{
	{"ppoll", Ppoll, ModeThread},
	{"epoll", Epoll, ModeThread},
	{"io_uring", IOUring, ModeThread},
	{"epoll, parked", Epoll, ModePark},
	{"io_uring, parked", IOUring, ModePark},
}

// The operations are the lines of the table, and the table has no others.
func TestSyscallTableIsComplete(t *testing.T) {
	table := readSyscallTable(t)
	for _, op := range syscallOperations {
		if _, ok := table[op.name]; !ok {
			t.Errorf("%s has no line for %q", syscallsDoc, op.name)
		}
		delete(table, op.name)
	}
	for name := range table {
		t.Errorf("%s has a line for %q, which nobody tests", syscallsDoc, name)
	}
}

// What the kernel sees is what the table says: no call more and none less.
func TestSyscallsAsStraceSeesThem(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: only what passes through package sys is counted")
	}
	eachSyscallColumn(t, func(t *testing.T, column string) countedCalls {
		out := filepath.Join(t.TempDir(), "trace")
		runSyscallChild(t, column, strace, "-f", "-qq", "-s", "100", "-o", out, "-e", "trace=all", "-e", "signal=none", os.Args[0])
		traced, err := os.ReadFile(out)
		must(t, err)
		return countTraced(string(traced))
	}, func(string) bool { return true })
}

// The same as package sys sees it, which needs no permission to trace.
func TestSyscallsAsTheHookSeesThem(t *testing.T) {
	hooked := []string{"ppoll", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "io_uring_enter"}
	eachSyscallColumn(t, func(t *testing.T, column string) countedCalls {
		out := runSyscallChild(t, column, os.Args[0])
		counted := make(countedCalls)
		for _, m := range regexp.MustCompile(`(?m)^counted ("[^"]*") (\S+) (\d+)$`).FindAllStringSubmatch(out, -1) {
			name, _ := strconv.Unquote(m[1])
			if counted[name] == nil {
				counted[name] = make(calls)
			}
			counted[name][m[2]], _ = strconv.Atoi(m[3])
		}
		return counted
	}, func(call string) bool { return slices.Contains(hooked, call) })
}

// eachSyscallColumn compares what count returns with the calls of the table that
// seen is true for.
func eachSyscallColumn(t *testing.T, count func(t *testing.T, column string) countedCalls, seen func(call string) bool) {
	if raceEnabled {
		t.Skip("under the race detector there are calls of its own")
	}
	for _, f := range []*feature.Feature{feature.EpollPwait2, feature.DeferTaskrun} {
		if _, err := f.Check(); err != nil {
			t.Skipf("the table is of kernels with %s: %v", f.Name, err)
		}
	}
	table := readSyscallTable(t)
	for i, column := range syscallColumns {
		t.Run(column.name, func(t *testing.T) {
			newLoopOn(t, column.backend, WithMode(column.mode)).Close() // or skip
			counted := count(t, column.name)
			for _, op := range syscallOperations {
				cell, ok := table[op.name]
				if !ok || cell[i] == notOffered {
					continue
				}
				want := parseCalls(t, cell[i])
				maps.DeleteFunc(want, func(call string, _ int) bool { return !seen(call) })
				maps.DeleteFunc(counted[op.name], func(call string, _ int) bool { return !seen(call) })
				if got := counted[op.name]; !maps.Equal(got, want.times(syscallRepeats)) {
					t.Errorf("%s: %v in %d repetitions; %s says that one makes %v", op.name, got, syscallRepeats, syscallsDoc, want)
				}
			}
		})
	}
}

func (c calls) times(n int) calls {
	for call := range c {
		c[call] *= n
	}
	return c
}

const notOffered = "–" // in the table: this column has no such operation

// readSyscallTable returns the cells of each operation.
func readSyscallTable(t *testing.T) map[string][]string {
	t.Helper()
	doc, err := os.ReadFile(syscallsDoc)
	must(t, err)
	table := make(map[string][]string)
	for line := range strings.Lines(string(doc)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != len(syscallColumns)+1 || strings.HasPrefix(cells[0], "--") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		table[cells[0]] = cells[1:]
	}
	for i, name := range table["operation"] {
		if name != syscallColumns[i].name {
			t.Fatalf("%s: column %d is %q, want %q", syscallsDoc, i+1, name, syscallColumns[i].name)
		}
	}
	delete(table, "operation")
	return table
}

// parseCalls reads a cell, "write, 2 ppoll" for example.
func parseCalls(t *testing.T, cell string) calls {
	t.Helper()
	c := make(calls)
	if cell == "none" {
		return c
	}
	for part := range strings.SplitSeq(cell, ", ") {
		n, name := 1, part
		if many, rest, ok := strings.Cut(part, " "); ok {
			var err error
			if n, err = strconv.Atoi(many); err != nil {
				t.Fatalf("%s: what is %q?", syscallsDoc, part)
			}
			name = rest
		}
		c[name] += n
	}
	return c
}

// A line of strace: the thread, the call, and its first argument if that is a number.
var (
	tracedCall  = regexp.MustCompile(`^(\d+) +(\w+)\((-?\d+)?`)
	tracedAgain = regexp.MustCompile(`^\d+ +(?:\w+\(|<\.\.\. (\w+) resumed).* = \? ERESTART(?:SYS|NOHAND|NOINTR)`)
	tracedMark  = regexp.MustCompile(`^\d+ +write\(-1, "(begin|end|again) ([^"]*)"`)
)

// runtimesOwn are calls that the Go runtime makes for its threads, its memory and
// the time-outs of both, and that the library does not make.
var runtimesOwn = []string{
	"futex", "nanosleep", "sched_yield", "tgkill", "getpid", "rt_sigreturn", "rt_sigprocmask", "rt_sigaction",
	"sigaltstack", "mmap", "munmap", "madvise", "clone", "clone3", "set_robust_list", "rseq", "exit", "restart_syscall",
}

// countTraced counts, between the marks of each operation, every call but those of
// the runtime and those of the test. Both have descriptors of their own.
func countTraced(trace string) countedCalls {
	counted := make(countedCalls)
	begun := make(map[string]bool) // threads that have made a call which is not the runtime's
	during := ""
	for line := range strings.Lines(trace) {
		if m := tracedMark.FindStringSubmatch(line); m != nil {
			during = ""
			switch m[1] {
			case "begin":
				during = m[2]
			case "again":
				delete(counted, m[2])
			}
		}
		if m := tracedAgain.FindStringSubmatch(line); m != nil {
			counted.interrupted(during, newerCall(m[1]))
			continue
		}
		m := tracedCall.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		thread, call, argument := m[1], newerCall(m[2]), m[3]
		if runtimesCall(call, begun[thread]) {
			continue
		}
		begun[thread] = true
		if during == "" || testsCall(call, argument) {
			continue
		}
		if counted[during] == nil {
			counted[during] = make(calls)
		}
		counted[during][call]++
	}
	return counted
}

// newerCall returns the name that the table has for what package sys asks an older call for.
func newerCall(call string) string {
	switch call {
	case "poll":
		return "ppoll"
	case "epoll_wait":
		return "epoll_pwait"
	}
	return call
}

// interrupted takes back a call that the kernel makes once more, because of work of
// its own. unfinished is its name if it has been counted.
func (c countedCalls) interrupted(during, unfinished string) {
	if c[during][unfinished] > 0 {
		c[during][unfinished]--
	}
}

// runtimesCall reports whether call is the runtime's. A thread that it begins asks
// for its number, among other things.
func runtimesCall(call string, begun bool) bool {
	return slices.Contains(runtimesOwn, call) || call == "gettid" && !begun
}

// testsCall reports whether call is made on a descriptor that is not the library's.
func testsCall(call, argument string) bool {
	fd, err := strconv.Atoi(argument)
	return err == nil && fd < firstLoopFD && withDescriptor(call)
}

// withDescriptor reports whether the first argument of a call is a descriptor. That of
// io_uring_enter can be the index of a registered ring, and only loops make that call.
func withDescriptor(call string) bool {
	for _, prefix := range []string{"read", "pread", "write", "epoll_", "timerfd_settime", "close", "fcntl"} {
		if strings.HasPrefix(call, prefix) {
			return true
		}
	}
	return false
}

// runSyscallChild runs the operations in a process of its own, and returns what it
// prints.
func runSyscallChild(t *testing.T, column string, command ...string) string {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), childEnv+"=syscalls", syscallColumnEnv+"="+column,
		"GODEBUG=asyncpreemptoff=1", "GOGC=off", "GOMAXPROCS=2", "GOCOVERDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err == nil {
		return string(out)
	}
	if said := strings.ToLower(string(out)); strings.Contains(said, "ptrace") {
		t.Skipf("tracing is not permitted here: %s", out)
	}
	t.Fatalf("%v: %s", err, out)
	return ""
}

const (
	syscallColumnEnv = "AIOLOOP_TEST_SYSCALL_COLUMN"
	// firstLoopFD parts the descriptors of the runtime and of the test from those
	// of the library, which come after them.
	firstLoopFD    = 60
	syscallRepeats = 20
	syscallWarmUp  = 10
)

func init() { children["syscalls"] = runSyscallOperations }

// stage is where the operations are played, one after the other.
type stage struct {
	name    string
	backend Backend
	mode    Mode
	r, w    int // a pipe of the test's
	ticks   int
	counted map[sys.Call]*atomic.Int64
	active  atomic.Bool
	own     []int            // descriptors, to be replaced by those of the test
	threads map[*Context]int // see openThread
	ends    []func() error
}

func runSyscallOperations() error {
	s := &stage{counted: make(map[sys.Call]*atomic.Int64)}
	for _, column := range syscallColumns {
		if column.name == os.Getenv(syscallColumnEnv) {
			s.backend, s.mode = column.backend, column.mode
		}
	}
	for _, call := range []sys.Call{sys.CallPpoll, sys.CallEpollCtl, sys.CallEpollPwait, sys.CallEpollPwait2, sys.CallIoUringEnter} {
		s.counted[call] = new(atomic.Int64)
	}
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return err
	}
	s.r, s.w = p[0], p[1]
	defer closeAll(p[:])
	own, err := fillDescriptors()
	defer closeAll(own)
	if err != nil {
		return err
	}
	s.own = own
	defer sys.Inject(s.hook)()
	for _, op := range syscallOperations {
		s.name, s.ticks, s.threads = op.name, 0, make(map[*Context]int)
		if op.parked && s.mode != ModePark {
			continue
		}
		err := s.play(op.run)
		if err != nil {
			return fmt.Errorf("%s: %w", op.name, err)
		}
		s.print()
	}
	return nil
}

// fillDescriptors takes all numbers below firstLoopFD.
func fillDescriptors() (own []int, err error) {
	for {
		fd, err := unix.Dup(0)
		if err != nil {
			return own, err
		}
		if own = append(own, fd); fd >= firstLoopFD-1 {
			return own, nil
		}
	}
}

// play runs one operation and ends its loops.
func (s *stage) play(run func(*stage)) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
		for _, end := range slices.Backward(s.ends) {
			err = errors.Join(err, end())
		}
		s.ends = nil
	}()
	run(s)
	return nil
}

// hook counts what passes through package sys between the marks.
func (s *stage) hook(call sys.Call) sys.Fault {
	if n := s.counted[call]; n != nil && s.active.Load() {
		n.Add(1)
	}
	return sys.Fault{}
}

func (s *stage) print() {
	for call, n := range s.counted {
		if n := n.Swap(0); n > 0 {
			fmt.Printf("counted %q %s %d\n", s.name, call, n)
		}
	}
}

// begin and end are seen by strace, as writes that fail.
func (s *stage) begin() { s.mark("begin "); s.active.Store(true) }
func (s *stage) end()   { s.active.Store(false); s.mark("end ") }

// again forgets what was counted of an operation, which begins again.
func (s *stage) again() {
	s.mark("again ")
	s.ticks = 0
	for _, n := range s.counted {
		n.Store(0)
	}
}

func (s *stage) mark(what string) { _, _ = unix.Write(-1, []byte(what+s.name)) }

// tick is called by a callback, each time that the operation is over.
func (s *stage) tick() {
	switch s.ticks++; s.ticks {
	case syscallWarmUp:
		s.begin()
	case syscallWarmUp + syscallRepeats:
		s.end()
	}
}

// repeat does f on this goroutine.
func (s *stage) repeat(f func()) {
	for s.tick(); s.ticks < syscallWarmUp+syscallRepeats; s.tick() {
		f()
	}
}
