package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/bench/report"
	"github.com/aioloop/aioloop/internal/feature"
	"github.com/aioloop/aioloop/internal/leak"
	"github.com/aioloop/aioloop/internal/seccomp"
)

// childEnv makes the test binary be the command. "noring" forbids io_uring before.
const childEnv = "AIOBENCH_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "":
		leak.Main(m)
	case "noring":
		if err := forbidIOUring(); err != nil {
			fmt.Fprintln(os.Stderr, "no seccomp:", err)
			os.Exit(99)
		}
	}
	main()
}

// forbidIOUring makes io_uring_setup fail with EPERM, as container engines do.
func forbidIOUring() error {
	const number = 0 // of the system call, the first field of struct seccomp_data
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_IO_URING_SETUP, Jt: 0, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	return seccomp.Install(filter)
}

// child is the command as a process of its own.
type child struct {
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr bytes.Buffer
}

func newChild(t *testing.T, kind string, args ...string) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.CommandContext(t.Context(), exe, args...)}
	c.cmd.Dir = t.TempDir() // for the results
	c.cmd.Env = append(os.Environ(), childEnv+"="+kind)
	c.cmd.Stdout, c.cmd.Stderr = &c.stdout, &c.stderr
	return c
}

func (c *child) run(t *testing.T, status int) {
	t.Helper()
	_ = c.cmd.Run()
	if got := c.cmd.ProcessState.ExitCode(); got != status {
		t.Errorf("exit status %d, want %d; stderr:\n%s", got, status, &c.stderr)
	}
}

// sentence checks that stderr is one line which contains all words.
func (c *child) sentence(t *testing.T, words ...string) {
	t.Helper()
	text := c.stderr.String()
	if strings.Count(text, "\n") != 1 {
		t.Errorf("stderr is not one line:\n%s", text)
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("stderr lacks %q:\n%s", w, text)
		}
	}
	if c.stdout.Len() > 0 {
		t.Errorf("stdout is not empty:\n%s", &c.stdout)
	}
}

func TestEndToEnd(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	extra := filepath.Join(t.TempDir(), "extra.json")
	c := newChild(t, "plain", "-quick", "-scenario", "self-bh", "-backend", "ppoll,epoll,goroutine+channel", "-out", dir, "-json", extra, "-name", "end to end", "-version", "v1")
	c.run(t, 0)
	if got := c.stdout.String(); !strings.Contains(got, dir) || !strings.Contains(got, "goroutine") {
		t.Errorf("stdout does not name the folder and the rows:\n%s", got)
	}
	if got := c.stderr.String(); got != "[1/1] self-bh is finished; 0s left\n" {
		t.Errorf("progress:\n%s", got)
	}
	if table := read(t, filepath.Join(dir, "table.txt")); !strings.Contains(table, "goroutine+channel") || !strings.Contains(table, "p99.9") {
		t.Errorf("table.txt:\n%s", table)
	}
	if !strings.Contains(read(t, filepath.Join(dir, "report.html")), "<svg") {
		t.Error("report.html has no picture")
	}
	text := read(t, filepath.Join(dir, "results.json"))
	if text != read(t, extra) {
		t.Error("-json and -out differ")
	}
	checkJSON(t, text)
}

// checkJSON looks for the documented fields without the help of the types that
// wrote them.
func checkJSON(t *testing.T, text string) {
	t.Helper()
	var doc struct {
		Schema  string
		Machine map[string]any
		Run     map[string]any
		Results []map[string]any
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Schema == "" || doc.Machine["kernel"] == "" || len(doc.Results) != 3 {
		t.Fatalf("schema %q, machine %v, %d results", doc.Schema, doc.Machine, len(doc.Results))
	}
	if doc.Run["name"] != "end to end" || doc.Run["version"] != "v1" || doc.Run["quick"] != true {
		t.Errorf("run %v", doc.Run)
	}
	for _, r := range doc.Results {
		for _, key := range []string{"scenario", "backend", "params", "n", "p50_ns", "p90_ns", "max_ns", "cpu_ns_per_op", "allocs_per_op"} {
			if _, ok := r[key]; !ok {
				t.Errorf("%v lacks %s", r["backend"], key)
			}
		}
		for key, samples := range map[string]float64{"p99_ns": report.SamplesP99, "p999_ns": report.SamplesP999} {
			if _, ok := r[key]; ok != (r["n"].(float64) >= samples) {
				t.Errorf("%v: %s is there: %v, of %v samples", r["backend"], key, ok, r["n"])
			}
		}
		if r["n"].(float64) < 1 || r["p50_ns"].(float64) <= 0 || r["cpu_ns_per_op"].(float64) <= 0 {
			t.Errorf("%v: empty figures", r)
		}
		if allocs := r["allocs_per_op"].(float64); allocs >= 0.1 { // the runtime makes one now and then, and a quick run is short
			t.Errorf("%v: %v allocations per operation", r["backend"], allocs)
		}
	}
	if _, err := report.ReadJSON(strings.NewReader(text)); err != nil {
		t.Error(err)
	}
}

// A backend that was asked for and that a filter forbids: status 2, one sentence.
func TestForbiddenBackend(t *testing.T) {
	for _, list := range []string{"io_uring", "epoll,io_uring", "all"} {
		c := newChild(t, "noring", "-quick", "-scenario", "self-bh", "-backend", list)
		c.run(t, 2)
		c.sentence(t, "backend io_uring", "cannot run here", "seccomp")
	}
}

// A backend that was not asked for by name is left out, and the report says so.
func TestForbiddenBackendIsLeftOut(t *testing.T) {
	file := filepath.Join(t.TempDir(), "r.json")
	c := newChild(t, "noring", "-quick", "-scenario", "self-bh", "-json", file)
	c.run(t, 0)
	for what, text := range map[string]string{"screen": c.stdout.String(), "JSON": read(t, file)} {
		if !strings.Contains(text, "Not measured: io_uring") || !strings.Contains(text, "seccomp") {
			t.Errorf("%s does not say that io_uring was left out:\n%s", what, text)
		}
	}
}

// A program in C that was not built is named where its row would be, unless it was
// asked for: then that is an error.
func TestMissingPeerIsNamed(t *testing.T) {
	if _, err := feature.IOUring.Check(); err != nil {
		t.Skip("needs io_uring, which -backend all asks for: ", err)
	}
	c := newChild(t, "plain", "-quick", "-scenario", "mainloop,contexts", "-backend", "all")
	c.cmd.Dir = t.TempDir()
	c.run(t, 0)
	if text := c.stdout.String(); strings.Count(text, "Not measured: glib (C): it was not built: make peers-deps") != 1 {
		t.Errorf("the screen does not say once that GLib was left out:\n%s", text)
	}
	c = newChild(t, "plain", "-backend", "glib (C)")
	c.cmd.Dir = t.TempDir()
	c.run(t, 2)
	c.sentence(t, "backend glib (C)", "make peers-deps")
}

// A peer has its row, its samples and its ratios in the same files; one whose absence
// has a reason is named with it.
func TestPeerIsARow(t *testing.T) {
	needShell(t)
	root := t.TempDir()
	bin := filepath.Join(root, "bench", "peers", "bin")
	if err := os.MkdirAll(bin, 0o777); err != nil {
		t.Fatal(err)
	}
	glib := `#!/bin/sh
printf '{"peer":"glib","mode":"ready-time","samples":2,"batch":1,"cpu_ns_per_op":7}\n\000\001\000\000\000\000\000\000\000\002\000\000\000\000\000\000'
`
	for name, text := range map[string]string{"glib": glib, "libev.absent": "ev.h was not found\n"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	c := newChild(t, "plain", "-quick", "-rounds", "3", "-scenario", "pingpong", "-json", "r.json")
	c.cmd.Dir = root
	c.run(t, 0)
	table := read(t, filepath.Join(root, standardOut, tableFile))
	for _, want := range []string{"÷GLib", "Not measured: libev (C): ev.h was not found\n", "more: it was not built: make peers-deps"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
	r, err := report.ReadJSON(strings.NewReader(read(t, filepath.Join(root, "r.json"))))
	if err != nil {
		t.Fatal(err)
	}
	peers := 0
	for _, res := range r.Results {
		if res.Backend == "glib (C)" {
			peers++
			if res.N != 6 || res.Max != 512 || res.CPUNSPerOp != 7 || len(res.Rounds) != 3 || len(res.Histogram) != 2 {
				t.Errorf("%+v", res)
			}
		}
	}
	if peers != 2 {
		t.Errorf("%d results of the peer, want one for each setting of pinned", peers)
	}
}

func needShell(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("it needs a shell: ", err)
	}
}

func TestNoDescriptors(t *testing.T) {
	needShell(t)
	for _, backend := range []string{"ppoll", "epoll", "io_uring"} {
		c := newChild(t, "plain", "-quick", "-scenario", "self-bh", "-backend", backend)
		exe := c.cmd.Path
		c.cmd.Path, c.cmd.Args = "/bin/sh", append([]string{"sh", "-c", `ulimit -n 4 && exec "$0" "$@"`, exe}, c.cmd.Args[1:]...)
		c.run(t, 2)
		c.sentence(t, "backend "+backend, "cannot run here", "too many open files")
	}
}

// TestFewDescriptors: what does not fit the limit of open files is left out, and the rest is
// measured.
func TestFewDescriptors(t *testing.T) {
	needShell(t)
	c := newChild(t, "plain", "-quick", "-scenario", "idle-fds,contexts", "-backend", "epoll")
	exe := c.cmd.Path
	c.cmd.Path, c.cmd.Args = "/bin/sh", append([]string{"sh", "-c", `ulimit -n 200 && exec "$0" "$@"`, exe}, c.cmd.Args[1:]...)
	c.run(t, 0)
	table := read(t, filepath.Join(c.cmd.Dir, standardOut, tableFile))
	for _, want := range []string{"all rows: idle-fds idle_fds=512 and more: the limit of open files", "all rows: contexts contexts=100 and more: the limit"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table does not say %q:\n%s", want, table)
		}
	}
}

func TestWrongWords(t *testing.T) {
	c := newChild(t, "plain", "-scenario", "nothing")
	c.run(t, 2)
	c.sentence(t, "unknown scenario", "nothing", "self-bh")
}

// A path that cannot be written is noticed before anything is measured.
func TestUnwritable(t *testing.T) {
	start := time.Now()
	c := newChild(t, "plain", "-scenario", "self-bh", "-backend", "epoll", "-json", filepath.Join(t.TempDir(), "missing", "r.json"))
	c.run(t, 1)
	c.sentence(t, "missing")
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("noticed after %v", took)
	}
}

// An interrupt leaves what is finished, and no half-written files.
func TestInterrupt(t *testing.T) {
	dir := t.TempDir()
	c := newChild(t, "plain", "-scenario", "self-bh,idle-fds", "-backend", "epoll", "-out", dir)
	c.cmd.Stderr = nil
	pipe, err := c.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(pipe)
	lines.Scan() // the first group is finished
	if err := c.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	last := ""
	for lines.Scan() {
		last = lines.Text()
	}
	_ = c.cmd.Wait()
	if status := c.cmd.ProcessState.ExitCode(); status != 1 || !strings.Contains(last, "interrupted") {
		t.Errorf("exit status %d, last line %q", status, last)
	}
	r, err := report.ReadJSON(strings.NewReader(read(t, filepath.Join(dir, "results.json"))))
	if err != nil || len(r.Results) == 0 || r.Results[0].Scenario != "self-bh" {
		t.Errorf("%v, %+v", err, r)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 3 {
		t.Errorf("the folder holds %v, want three files", entries)
	}
}

func TestListAndHelp(t *testing.T) {
	for flag, want := range map[string]string{"-list": "producers", "-help": "-scenario list"} {
		c := newChild(t, "plain", flag)
		c.run(t, 0)
		if !strings.Contains(c.stdout.String(), want) || c.stderr.Len() > 0 {
			t.Errorf("%s:\n%s%s", flag, &c.stdout, &c.stderr)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
