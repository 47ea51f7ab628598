//go:build linux

package leak

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/sys"
)

// opening is where a descriptor was opened.
type opening struct {
	kind  string // part of its link in /proc/self/fd; the number may be another file's by now
	stack []uintptr
}

// openings are the latest of each number.
var openings struct {
	sync.Mutex
	byFD map[int]opening
}

func installRecorder() {
	openings.Lock()
	defer openings.Unlock()
	openings.byFD = make(map[int]opening)
	sys.OnOpened(record)
}

// Track remembers where fd, which a test has opened by itself, comes from, and
// returns it.
func Track(fd int) int {
	record(fd, "")
	return fd
}

func record(fd int, kind string) {
	const itself = 3 // Callers, record, and Track or sys.Opened
	var stack [32]uintptr
	o := opening{kind, slices.Clone(stack[:runtime.Callers(itself, stack[:])])}
	openings.Lock()
	defer openings.Unlock()
	if openings.byFD != nil {
		openings.byFD[fd] = o
	}
}

// openDescriptors returns what each open descriptor is.
func openDescriptors() map[int]string {
	links := map[int]string{}
	const dir = "/proc/self/fd/"
	entries, err := os.ReadDir(dir)
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			panic(err)
		}
		if link, err := os.Readlink(dir + e.Name()); err == nil { // else it was ReadDir's own
			links[fd] = link
		}
	}
	return links
}

// leakedDescriptors describes what is open and was not before.
func leakedDescriptors(before map[int]string) (leaks []string) {
	for fd, link := range openDescriptors() {
		if before[fd] != link {
			leaks = append(leaks, fmt.Sprintf("%d: %s, opened by\n%s", fd, link, openedBy(fd, link)))
		}
	}
	return leaks
}

func openedBy(fd int, link string) string {
	openings.Lock()
	o, known := openings.byFD[fd]
	openings.Unlock()
	if !known || !strings.Contains(link, o.kind) {
		return "\tthe test itself: not by the library, and not recorded with leak.Track\n"
	}
	var b strings.Builder
	for frames, more := runtime.CallersFrames(o.stack), true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		fmt.Fprintf(&b, "%s\n\t%s:%d\n", f.Function, f.File, f.Line)
	}
	return b.String()
}

// Inherited returns what a process has got from the one that started it, beside
// standard input, output and error. Call it before anything else: the
// files that the runtime opens for itself in the beginning, those of its cgroup,
// are left out, and its poller is not there yet.
func Inherited() (links []string) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		panic(err)
	}
	buf := make([]byte, 4096)
	for fd := 3; fd < int(min(limit.Cur, 4096)); fd++ {
		n, err := unix.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd), buf)
		if link := string(buf[:max(n, 0)]); err == nil && !strings.HasPrefix(link, "/sys/fs/cgroup/") {
			links = append(links, fmt.Sprintf("%d: %s", fd, link))
		}
	}
	return links
}
