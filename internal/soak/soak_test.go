//go:build linux

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/file"
	"github.com/aioloop/aioloop/internal/testkit/guest"
)

// seedEnv gives a run the seed of an earlier one.
const seedEnv = "SOAK_SEED"

func seed(t *testing.T) int64 {
	t.Helper()
	seed := time.Now().UnixNano()
	if s, err := strconv.ParseInt(os.Getenv(seedEnv), 10, 64); err == nil {
		seed = s
	}
	t.Logf("%s=%d", seedEnv, seed)
	return seed
}

// onEach runs f with each backend that works here.
func onEach(t *testing.T, f func(t *testing.T, cfg config)) {
	t.Helper()
	for _, b := range []aio.Backend{aio.Ppoll, aio.Epoll, aio.IOUring} {
		t.Run(b.String(), func(t *testing.T) {
			if err := try(b); err != nil {
				t.Skip(err)
			}
			cfg := defaults()
			cfg.backend, cfg.seed, cfg.duration = b, seed(t), time.Second
			cfg.bound = guest.Patient(cfg.bound)
			f(t, cfg)
		})
	}
}

func TestSoak(t *testing.T) {
	onEach(t, func(t *testing.T, cfg config) {
		v := soak(cfg)
		t.Log(v.line())
		for _, problem := range v.problems {
			t.Error(problem)
		}
		for what, n := range map[string]uint64{
			"bottom halves": v.counts.halves.Load(), "notifies": v.counts.notifies.Load(),
			"calls": v.counts.calls.Load(), "timers": v.counts.timers.Load(),
			"bytes": v.counts.bytes.Load(), "descriptors reused": v.counts.swaps.Load(),
			"file requests": v.counts.files.Load(), "jobs": v.counts.jobs.Load(),
			"signals": v.counts.signals.Load(), "events to a sleeping loop": v.counts.singles.Load(),
		} {
			if n == 0 {
				t.Errorf("there were no %s", what)
			}
		}
		if natives := v.counts.natives.Load(); (natives > 0) != (cfg.backend == aio.IOUring) {
			t.Errorf("%d native operations", natives)
		}
	})
}

// TestFaultsAreFound does wrong on purpose what each invariant is about.
func TestFaultsAreFound(t *testing.T) {
	for i, c := range []struct {
		name  string
		fault fault
		want  string
	}{
		{"lost notify", faultLostNotify, `notifier \d: \d+ sent, \d+ seen`},
		{"dropped byte", faultDroppedByte, `not what was sent, at byte \d+`},
		{"leaked descriptor", faultLeakedFD, `\d+ descriptors are open, at first there were`},
		{"stuck goroutine", faultStuckWorker, `there are \d+ goroutines, at first there were`},
		{"handler left", faultLeftHandler, `Close: aio: loop "\w+" closed with \d+ open handlers|source "guest": fd \d+: bad file descriptor`},
		{"stale event", faultStaleEvent, `a callback of an earlier handler`},
		{"early timer", faultEarlyTimer, `timer \d on .*: .* early`},
		{"double delivery", faultDoubleDelivery, `number \d+ is the \d+\. to run`},
		{"spinning", faultSpinning, `\d+ iterations in 50 ms without an event|not dispatched within`},
		{"wrong byte", faultWrongByte, `read of \d+ bytes at \d+ of \d+: what is read is not what was written`},
		{"file left", faultLeftFile, `Close: .*file .* is open`},
	} {
		if !guest.Runs(i, 3) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr, status := soakWith(t, c.fault)
			if status != exitFailed || !strings.Contains(stdout, ": FAIL ") || !regexp.MustCompile(c.want).MatchString(stdout) {
				t.Errorf("status %d, and %s is not what was found:\n%s", status, c.want, stdout)
			}
			if c.fault == faultLostNotify && !(strings.Contains(stderr, "goroutine ") && strings.Contains(stderr, "Iterations:")) {
				t.Errorf("the watchdog has not shown stacks and statistics, but:\n%s", stderr)
			}
		})
	}
}

// TestGrowthIsFound checks the rule for RSS.
func TestGrowthIsFound(t *testing.T) {
	for last, fine := range map[int64]bool{50: true, 75: true, 80: false} {
		var grown trend
		for _, m := range []int64{50, 50, 300, 60, 60, 60, last, last, last} { // one outlier
			grown.open = append(grown.open, vitals{rss: m * mib})
		}
		rep := newReport()
		if grown.checkMemory(rep); rep.failed() == fine {
			t.Errorf("50 MiB and then %d: %v", last, rep.list())
		}
	}
}

func TestCommand(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
		output string
	}{
		{"-backend=kqueue", exitCannot, "kqueue"},
		{"-duration=0s", exitCannot, ""},
		{"more", exitCannot, ""},
		{"-only=pipes", exitCannot, "-only pipes"},
		{"-engine=windows", exitCannot, "unknown engine"},
		{"-backend=ppoll -only=files -engine=io_uring", exitCannot, "needs the backend io_uring"},
		{"-backend=ppoll -duration=100ms -only=files -engine=threads", 0, `PASS  0 bottom halves, .* [1-9][\d,]* file requests`},
		{"-backend=ppoll -duration=100ms -seed=7", 0, `(?s)seed 7, .*soak ppoll 100ms: PASS  [\d,]+ bottom halves, .*fds (\d+)=\d+, goroutines \d+=\d+, RSS .*latest dispatch`},
	} {
		t.Run(c.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := command(strings.Fields(c.args), &stdout, &stderr)
			all := stdout.String() + stderr.String()
			if status != c.status || !regexp.MustCompile(c.output).MatchString(all) {
				t.Errorf("status %d, %s", status, all)
			}
		})
	}
}

func Example_verdict() {
	v := verdict{backend: aio.Epoll, duration: time.Minute, counts: new(counts), problems: []string{"a byte is lost"}}
	v.counts.halves.Store(1234567)
	fmt.Println(v.line()[:52])
	// Output: soak epoll 1m0s: FAIL  1,234,567 bottom halves, 0 no
}

// A place is one that a request may have, also in a file that has become larger than it is kept.
func TestPlaceIsValid(t *testing.T) {
	loop, err := aio.New()
	if err != nil {
		t.Fatal(err)
	}
	defer loop.Close()
	f, err := file.Open(loop, filepath.Join(t.TempDir(), "file"), os.O_RDWR|os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cfg := defaults()
	most := cfg.fileSize() * 3 / 2
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int64{1, cfg.fileSize(), most, most + 128<<10} {
		d := &disk{disks: &disks{station: &station{cfg: &cfg}}, oracle: oracle{data: make([]byte, size)}, file: f}
		for range 10_000 {
			if offset, length := d.place(r, measuring); offset < 0 || length < 1 {
				t.Fatalf("%d bytes at %d in a file of %d", length, offset, size)
			}
		}
	}
}
