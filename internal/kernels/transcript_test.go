//go:build linux

package main

import (
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aioloop/aioloop/internal/kernels/protocol"
)

// console builds what a guest might say: lines of the protocol, and of a job's output.
type console struct{ strings.Builder }

func (c *console) say(k protocol.Kind, fields ...string) *console {
	c.WriteString(protocol.Line(k, fields...) + "\r\n")
	return c
}

func (c *console) output(lines ...string) *console {
	for _, line := range lines {
		c.say(protocol.Output, line)
	}
	return c
}

func (c *console) kernel(line string) *console {
	c.WriteString(line + "\r\n")
	return c
}

func booted() *console {
	c := &console{}
	c.kernel("[    0.000000] Linux version 6.1").say(protocol.Kernel, "6.1.0-test", "x86_64")
	c.say(protocol.Feature, "epoll_pwait2", "works", "").say(protocol.Feature, "io_uring", "not supported", "ENOSYS")
	return c.say(protocol.Backend, "epoll", "the best that works here")
}

func read(s string) *transcript {
	t := newTranscript()
	watch(t, strings.NewReader(s), io.Discard, time.Minute, time.Minute, func() {})
	return t
}

func TestTranscript(t *testing.T) {
	c := booted().say(protocol.Begin, "aio")
	c.output("\x16=== RUN   TestA", "hello\x16--- PASS: TestA (0.00s)",
		"\x16=== RUN   TestB", "\x16=== RUN   TestB/x", "    a_test.go:9: no io_uring: ENOSYS", "\x16    --- SKIP: TestB/x (0.01s)",
		"\x16=== NAME  TestB", "    a_test.go:12: wrong", "\x16--- FAIL: TestB (0.02s)", "\x16FAIL")
	c.say(protocol.End, "aio", "exit status 1", "1500")
	c.say(protocol.Refused, "aio: disabled", "no such sysctl").say(protocol.Done).kernel("[ 2.0] reboot: Power down")
	got := read(c.String())
	if p := got.problem(); p != "" || got.release != "6.1.0-test" || got.backend[0] != "epoll" {
		t.Errorf("%q %q %q", p, got.release, got.backend)
	}
	if got.features["epoll_pwait2"] != "works" || got.features["io_uring"] != "not supported: ENOSYS" {
		t.Errorf("%q", got.features)
	}
	j := got.jobs[0]
	if j.took != 1500*time.Millisecond || j.problem != "exit status 1" || len(j.tests) != 3 {
		t.Fatalf("%+v", j)
	}
	if s := j.tests[1]; s.outcome != "SKIP" || s.name != "TestB/x" || s.reason() != "no io_uring: ENOSYS" {
		t.Errorf("%+v", s)
	}
	if f := j.tests[2]; f.outcome != "FAIL" || !slices.Equal(f.output, []string{"    a_test.go:12: wrong"}) {
		t.Errorf("%+v", f)
	}
	if cell(j) != "1/1/1 2s FAILED" || cell(got.jobs[1]) != "n/a" || cell(nil) != "FAILED: not reached" {
		t.Errorf("%q %q", cell(j), cell(got.jobs[1]))
	}
}

// TestKernelsWordsBehindATest: what the kernel says of a disk that fails on purpose is not part of a name.
func TestKernelsWordsBehindATest(t *testing.T) {
	c := booted().say(protocol.Begin, "file")
	c.output("\x16=== RUN   TestDisk[  334.041157] Buffer I/O error on dev dm-0", "", "\x16--- PASS: TestDisk (0.04s)")
	c.say(protocol.End, "file", protocol.OK, "40").say(protocol.Done)
	j := read(c.String()).jobs[0]
	if len(j.tests) != 1 || j.tests[0].name != "TestDisk" || j.tests[0].outcome != "PASS" {
		t.Errorf("%+v", j.tests)
	}
}

// TestRealOutput holds the parser to what this version of Go prints.
func TestRealOutput(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "vmtest.test")
	if out, err := exec.Command("go", "test", "-c", "-o", binary, "./vmtest").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(binary, "-test.v=test2json")
	cmd.Env = []string{} // not in a virtual machine
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var j jobResult
	for line := range strings.Lines(string(out)) {
		j.line(strings.TrimRight(line, "\n"))
	}
	j.giveUpRunning(&j.tests)
	if len(j.tests) == 0 {
		t.Fatalf("no tests in\n%s", out)
	}
	for _, r := range j.tests {
		if r.outcome != "SKIP" || !strings.HasSuffix(r.reason(), "make kernels only") {
			t.Errorf("%s: %s: %s", r.name, r.outcome, r.reason())
		}
	}
}

func TestGuestThatDoesNotGetToItsEnd(t *testing.T) {
	running := func() *console {
		return booted().say(protocol.Begin, "aio").output("\x16=== RUN   TestA", "working")
	}
	for _, tc := range []struct {
		name, console, want string
	}{
		{"panic", running().kernel("[ 9.0] Kernel panic - not syncing: Fatal exception").String(), "the kernel panicked during aio: [ 9.0] Kernel panic - not syncing: Fatal exception"},
		{"end", running().String(), "the guest ended during aio before its time"},
		{"no init", "[ 1.0] Kernel panic - not syncing: No working init found.", "the kernel panicked: [ 1.0] Kernel panic - not syncing: No working init found."},
		{"nothing", "", "the guest ended before its time"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := read(tc.console).problem(); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// TestGuestThatHangs: the guest is stopped, and the row has failed with its last lines.
func TestGuestThatHangs(t *testing.T) {
	for _, tc := range []struct {
		name, console, want string
		first, quiet        time.Duration
	}{
		{"at boot", "[    0.0] Linux version", "hung: nothing was heard for 10ms", 10 * time.Millisecond, time.Hour},
		{"in a test", booted().say(protocol.Begin, "aio").String(), "hung during aio: nothing was heard for 10ms", time.Hour, 10 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, w := io.Pipe()
			go io.WriteString(w, tc.console+"last words\n")
			got := newTranscript()
			watch(got, r, io.Discard, tc.first, tc.quiet, func() { w.Close() })
			if got.problem() != tc.want {
				t.Errorf("got %q, want %q", got.problem(), tc.want)
			}
			res := &result{kernel: kernel{Name: "6.1"}, guest: got, failure: got.problem()}
			if all := res.failures(); len(all) == 0 || !strings.Contains(all[0], "hung") || !strings.Contains(all[0], "last words") {
				t.Errorf("%q", all)
			}
		})
	}
}

func TestTestThatDoesNotEnd(t *testing.T) {
	c := booted().say(protocol.Begin, "aio").output("\x16=== RUN   TestA", "\x16=== RUN   BenchmarkB")
	got := read(c.say(protocol.End, "aio", "killed after 6m0s", "1").say(protocol.Done).String())
	var outcomes []string
	for _, r := range got.jobs[0].tests {
		outcomes = append(outcomes, r.name+" "+r.outcome)
	}
	slices.Sort(outcomes)
	if !slices.Equal(outcomes, []string{"BenchmarkB PASS", "TestA FAIL"}) {
		t.Errorf("%q", outcomes)
	}
}
