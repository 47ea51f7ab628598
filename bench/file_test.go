package bench

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/bench/report"
	"github.com/aioloop/aioloop/file"
	"github.com/aioloop/aioloop/internal/feature"
)

// TestQuickRunHasNoFiles unless they are named: its answer stays as short as it is.
func TestQuickRunHasNoFiles(t *testing.T) {
	for _, c := range []struct {
		config Config
		files  bool
	}{
		{Config{Quick: true}, false},
		{Config{}, true},
		{Config{Quick: true, Scenarios: []string{fileRead}}, true},
		{Config{Scenarios: []string{"wake"}}, false},
		{Config{Quick: true, Scenarios: []string{"coroutine"}}, true},
	} {
		r, err := newRunner(c.config)
		if err != nil {
			t.Fatal(err)
		}
		has := slices.ContainsFunc(r.groups, func(g group) bool { return g.needs != nil })
		if has != c.files || c.config.HasFiles() != c.files {
			t.Errorf("%+v: files are measured: %v, and it says %v", c.config, has, c.config.HasFiles())
		}
	}
}

// TestCachedIsSeen: what the report shows of the page cache is what was done to it.
func TestCachedIsSeen(t *testing.T) {
	store := newFileStore(t.TempDir())
	path, err := store.path(fileToRead)
	if err != nil {
		t.Skip(err)
	}
	if again, _ := store.path(fileToRead); again != path {
		t.Errorf("the file is made twice: %s and %s", path, again)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const span = 1 << 20
	if err := warm(f, span); err != nil {
		t.Fatal(err)
	}
	if share, err := cached(f, span); err != nil || share != 1 {
		t.Errorf("a part of %v is cached of what was read: %v", share, err)
	}
	if slices.Contains(inMemory, Filesystem(path)) {
		if err := droppable(path); err == nil || !strings.Contains(err.Error(), "-file-dir") {
			t.Errorf("a file in memory is dropped: %v", err)
		}
	} else if err := drop(f); err != nil {
		t.Fatal(err)
	} else if share, err := cached(f, span); err != nil || share > fewCached {
		t.Errorf("a part of %v is cached of what was dropped: %v", share, err)
	}
	if err := store.remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(store.own); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left behind", store.own)
	}
}

// TestFilesThatCannotBeMade: all groups are left out, with one sentence for each scenario.
func TestFilesThatCannotBeMade(t *testing.T) {
	c := Config{Scenarios: []string{fileRead, fileWrite}, Quick: true, FileDir: filepath.Join(t.TempDir(), "missing")}
	results, absent, err := Run(t.Context(), c)
	if err != nil || len(results) > 0 || len(absent) != 2 {
		t.Fatalf("%v, %d results, left out: %+v", err, len(results), absent)
	}
	for _, a := range absent {
		if !strings.HasSuffix(a.Where, " and more") || !strings.Contains(a.Why, "-file-dir") {
			t.Errorf("%+v", a)
		}
	}
}

// TestEvictedIsMeasuredAgain: and in the end it is said.
func TestEvictedIsMeasuredAgain(t *testing.T) {
	for evictions, want := range []struct {
		runs int
		note bool
	}{{1, false}, {2, false}, {3, false}, {3, true}} {
		runs, left := 0, evictions
		c := testCase{row: "test", outside: true, setup: func(s *fixture) (runFunc, error) {
			s.unsound = "evicted"
			s.sound = func() (bool, error) { left--; return left < 0, nil }
			return func(_ budget, rec *report.Recorder) (int64, error) { runs++; rec.Record(1); return 1, nil }, nil
		}}
		tl := newTally(&c)
		if err := tl.round(&c, cpus{-1, -1}, phase{ops: 1}, report.NewRecorder()); err != nil {
			t.Fatal(err)
		}
		if said := slices.Contains(tl.notes, "evicted"); runs != want.runs || said != want.note || tl.ops != 1 || tl.rec.N() != 1 {
			t.Errorf("%d evictions: %d runs, %d operations, %d samples, said: %v", evictions, runs, tl.ops, tl.rec.N(), said)
		}
	}
}

// TestKernelWorkersCount: those of io_uring are threads of this process, so that its CPU time has
// theirs.
func TestKernelWorkersCount(t *testing.T) {
	if _, err := feature.IOUring.Check(); err != nil {
		t.Skip(err)
	}
	if strings.HasPrefix(kernelRelease(), "5.10") {
		t.Skip("before Linux 5.12 they are the kernel's own")
	}
	row := fileRow{engine: file.EngineIOUring, backend: aio.IOUring, mode: aio.ModeThread}.loop()
	loop, err := row.open(cpus{-1, -1})
	if err != nil {
		t.Skip(err)
	}
	defer loop.Close()
	f, err := file.Open(loop, filepath.Join(t.TempDir(), "file"), os.O_RDWR|os.O_CREATE, file.WithEngine(file.EngineIOUring))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	over := false
	if err := f.Sync(&file.Request{Done: func(*file.Request) { over = true }}); err != nil { // which blocks, and so has a worker
		t.Fatal(err)
	}
	for !over {
		if _, err := loop.Poll(); err != nil {
			t.Fatal(err)
		}
	}
	names, _ := filepath.Glob("/proc/self/task/*/comm")
	if !slices.ContainsFunc(names, func(name string) bool {
		b, _ := os.ReadFile(name)
		return strings.HasPrefix(string(b), "iou-wrk")
	}) {
		t.Error("no thread of the process is a worker of io_uring")
	}
}

// TestFileFolder: memory is no place for files, unless it was asked for.
func TestFileFolder(t *testing.T) {
	if got := FileFolder("/dev/shm", "results"); got != "/dev/shm" {
		t.Errorf("asked for /dev/shm, got %s", got)
	}
	if Filesystem("/dev/shm") == "tmpfs" {
		if got := FileFolder("", "/dev/shm"); got == "/dev/shm" {
			t.Error("the files are in memory")
		}
	}
	dir := t.TempDir()
	if got := FileFolder("", dir); got != dir && !slices.Contains(inMemory, Filesystem(dir)) {
		t.Errorf("the results are in %s, the files in %s", dir, got)
	}
	if got := Filesystem(filepath.Join(dir, "missing")); got != "" {
		t.Errorf("a folder that is not there is on %s", got)
	}
}

// TestPlaces: they are those of whole blocks in the span, and in order where that is asked for.
func TestPlaces(t *testing.T) {
	for _, w := range slices.Concat(fileReadSettings(), fileWriteSettings(), fileDirectSettings()) {
		p, seen := w.places(0), map[int64]bool{}
		for i := range int64(100) {
			at := p.next()
			if at < 0 || at%w.block() != 0 || at+w.block() > w.span() {
				t.Fatalf("%v: offset %d", w.params, at)
			}
			if w.access == inOrder && at != (i+1)*w.block() {
				t.Errorf("%v: offset %d comes as number %d", w.params, at, i)
			}
			seen[at] = true
		}
		if len(seen) < 50 {
			t.Errorf("%v: %d places of 100", w.params, len(seen))
		}
	}
}

const fioOutput = `fio: a line before it
{"jobs": [{"error": 0, "job_runtime": 100, "usr_cpu": 10.0, "sys_cpu": 40.0,
"read": {"total_ios": 5, "iops": 1000, "lat_ns": {"bins": {"1000": 2, "2000": 3}}},
"write": {"total_ios": 0, "iops": 0, "lat_ns": {}}}]}`

func TestParseFio(t *testing.T) {
	r, err := parseFio([]byte(fioOutput), false)
	if err != nil {
		t.Fatal(err)
	}
	if r.ops != 5 || r.samples[1000] != 2 || r.samples[2000] != 3 || r.cpu.Milliseconds() != 50 || r.elapsed.Milliseconds() != 5 {
		t.Errorf("%+v", r)
	}
	for _, c := range []struct{ old, new, says string }{
		{`"error": 0`, `"error": 22`, "error 22"},
		{`"iops": 1000`, `"iops": 0`, "0 a second"},
		{`"1000": 2`, `"x": 2`, `a bin of "x"`},
		{`"1000": 2`, `"1000": -2`, "-2 samples"},
		{`{"1000": 2, "2000": 3}`, `{}`, "no latencies"},
		{`"jobs": [{`, `"jobs": [{}, {`, "2 jobs"},
		{`}]}`, `}]`, "unexpected end"},
	} {
		_, err := parseFio([]byte(strings.Replace(fioOutput, c.old, c.new, 1)), false)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s instead of %s: %v, want %q", c.new, c.old, err, c.says)
		}
	}
	if _, err := parseFio([]byte(fioOutput), true); !errors.Is(err, errFio) {
		t.Errorf("writes that were none: %v", err)
	}
}

// TestNoDirect: a filesystem without O_DIRECT, if there is one here, has a reason.
func TestNoDirect(t *testing.T) {
	store := newFileStore("/dev/shm")
	defer func() { _ = store.remove() }()
	w := fileDirectSettings()[0]
	if err := w.possible(store); err != nil && !strings.Contains(err.Error(), "-file-dir") && !errors.Is(err, unix.ENOSPC) {
		t.Error(err)
	}
}
