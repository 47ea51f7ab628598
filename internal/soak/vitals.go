//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// vitals are what has to stay flat. They are taken when all actors pause.
type vitals struct {
	fds, goroutines int   // without those of thread pools
	workers         int   // of thread pools, and what ends the rest of a loop
	rss             int64 // bytes
}

func takeVitals() vitals {
	debug.FreeOSMemory() // or the collector's mood would be part of the figure
	n, workers := goroutines()
	return vitals{fds: openFDs(), goroutines: n, workers: workers, rss: rss()}
}

// goroutines counts those of thread pools and of Linux AIO apart: the former end when they were idle for a
// while, and when their loop is closed; the latter end what is left then. Both figures are of one moment.
func goroutines() (others, workers int) {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for _, by := range []string{"pool.(*", "file/internal/linuxaio."} {
		workers += bytes.Count(stacks, []byte("created by github.com/aioloop/aioloop/"+by))
	}
	return 1 + bytes.Count(stacks, []byte("\n\ngoroutine ")) - workers, workers
}

// openFDs counts one too many, the directory that it reads, and always the same.
func openFDs() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(entries)
}

func rss() int64 {
	b, _ := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// trend compares vitals over time. Two moments are compared, with all Contexts open
// and with all of them closed; each must look the same whenever it comes.
type trend struct {
	open, closed []vitals
	// A goroutine that has been told to end may not have had its turn yet.
	linger time.Duration
}

// add takes the vitals. They have to be those of the first time.
func (t *trend) add(to *[]vitals, what string, r *report) {
	settled := func(v vitals) bool { return to == &t.open || v.workers == 0 }
	v := takeVitals()
	for end := now() + t.linger; !settled(v) && now() < end && !r.failed(); v = takeVitals() {
		time.Sleep(time.Millisecond)
	}
	if !settled(v) {
		r.fail("%s: there are %d workers of thread pools or Linux AIO", what, v.workers)
	}
	if len(*to) == 0 {
		v = steady(v)
	} else {
		first := (*to)[0]
		for end := now() + t.linger; !v.same(first) && now() < end && !r.failed(); v = takeVitals() {
			time.Sleep(time.Millisecond)
		}
		if v.fds != first.fds {
			r.fail("%s: %d descriptors are open, at first there were %d", what, v.fds, first.fds)
		}
		if v.goroutines != first.goroutines {
			r.fail("%s: there are %d goroutines, at first there were %d", what, v.goroutines, first.goroutines)
		}
	}
	*to = append(*to, v)
}

// steady waits until v stays what it is: a goroutine that is about to end, of a timer say, is no
// measure.
func steady(v vitals) vitals {
	for range 10 {
		time.Sleep(5 * time.Millisecond)
		w := takeVitals()
		if w.same(v) {
			break
		}
		v = w
	}
	return v
}

func (v vitals) same(w vitals) bool { return v.fds == w.fds && v.goroutines == w.goroutines }

// memory is the median RSS of the first and of the last third.
func (t *trend) memory() (first, last int64) {
	third := (len(t.open) + 2) / 3
	if third == 0 {
		return 0, 0
	}
	return medianRSS(t.open[:third]), medianRSS(t.open[len(t.open)-third:])
}

func medianRSS(of []vitals) int64 {
	var all []int64
	for _, v := range of {
		all = append(all, v.rss)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

const mib = 1 << 20

// checkMemory allows for 20 % and 16 MiB.
func (t *trend) checkMemory(r *report) {
	if first, last := t.memory(); last > first+first/5+16*mib {
		r.fail("RSS has grown from %d to %d MiB", first/mib, last/mib)
	}
}

func (t *trend) String() string {
	if len(t.open) == 0 {
		return "no vitals"
	}
	a, b := t.open[0], t.open[len(t.open)-1]
	first, last := t.memory()
	return fmt.Sprintf("fds %s, goroutines %s, RSS %d→%d MiB",
		compare(a.fds, b.fds), compare(a.goroutines, b.goroutines), first/mib, last/mib)
}

func compare(a, b int) string {
	if a == b {
		return fmt.Sprintf("%d=%d", a, b)
	}
	return fmt.Sprintf("%d≠%d", a, b)
}
