package bench

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/bench/report"
)

// The scenarios with files.
const (
	fileRead   = "file-read"
	fileWrite  = "file-write"
	fileDirect = "file-direct"
)

// costAbout says by what the rows are compared.
const costAbout = "As many requests as the depth are under way all the time. Rows are compared by the time of all of them, divided by their number (time/event); percentiles are of single requests."

var fileReadScenario = Scenario{
	Scenario: report.Scenario{
		Name:   fileRead,
		About:  "A loop reads a file: blocks at random places, or all of it in order; from the page cache, or without it. " + costAbout,
		Params: []string{"cache", "access", "depth"},
		Typical: []map[string]string{
			{"cache": cacheAll, "access": atRandom, "depth": "1"},
			{"cache": cacheAll, "access": atRandom, "depth": "16"},
		},
	},
	Short:  "read a file through the page cache, in 4 KiB blocks at random places or 256 KiB in order",
	Varied: "1 MiB or 64 MiB in the cache, or none of it; 1, 16, 64 requests under way",
	named:  true,
	groups: func() []group { return fileGroups(fileRead, fileReadSettings()) },
}

var fileWriteScenario = Scenario{
	Scenario: report.Scenario{
		Name:   fileWrite,
		About:  "A loop writes blocks of a file into the page cache, at random places or in order, over what was there. " + costAbout,
		Params: []string{"access", "depth"},
		Typical: []map[string]string{
			{"access": atRandom, "depth": "16"},
		},
	},
	Short:  "write a file through the page cache, in 4 KiB blocks at random places or 256 KiB in order",
	Varied: "1, 16, 64 requests under way",
	named:  true,
	groups: func() []group { return fileGroups(fileWrite, fileWriteSettings()) },
}

var fileDirectScenario = Scenario{
	Scenario: report.Scenario{
		Name:   fileDirect,
		About:  "A loop reads or writes a file past the page cache (O_DIRECT). " + costAbout,
		Params: []string{"do", "access", "depth"},
		Typical: []map[string]string{
			{"do": "read", "access": atRandom, "depth": "16"},
		},
	},
	Short:  "read and write a file with O_DIRECT, in 4 KiB blocks at random places or 256 KiB in order",
	Varied: "1, 16, 64 requests under way",
	named:  true,
	groups: func() []group { return fileGroups(fileDirect, fileDirectSettings()) },
}

// Values of parameters.
const (
	atRandom = "random"     // blocks of 4 KiB
	inOrder  = "sequential" // blocks of 256 KiB

	cacheHot  = "hot"      // a span that the CPU's caches hold
	cacheAll  = "cached"   // the whole file is in the page cache
	cacheNone = "uncached" // none of it, at the start of a round
)

// fileWork is what a group does with a file.
type fileWork struct {
	scenario string
	cache    string // empty with O_DIRECT
	write    bool
	access   string
	depth    int
	params   []param
	full     bool // a quick run leaves it out
}

func (w *fileWork) direct() bool { return w.scenario == fileDirect }

func (w *fileWork) block() int64 {
	if w.access == inOrder {
		return 256 << 10
	}
	return 4 << 10
}

func (w *fileWork) span() int64 {
	if w.cache == cacheHot {
		return 1 << 20
	}
	return fileSize
}

func (w *fileWork) kind() string {
	if w.write {
		return fileToWrite
	}
	return fileToRead
}

// most is how many requests a round has at most, 0 for no limit: reads fill the page cache, so that
// those that come too late would find what they look for.
func (w *fileWork) most() int64 {
	switch {
	case w.cache != cacheNone:
		return 0
	case w.access == inOrder:
		return w.span() / w.block()
	}
	return w.span() / w.block() / 4
}

// sequentialDepth is what a program has under way that copies a file.
const sequentialDepth = 4

// depths are those of blocks at random places, and that of blocks in order.
func depths(of fileWork, quick ...int) (list []fileWork) {
	for _, depth := range []int{1, 16, 64, sequentialDepth} {
		w := of
		w.access, w.depth, w.full = atRandom, depth, !slices.Contains(quick, depth)
		if depth == sequentialDepth {
			w.access = inOrder
		}
		w.params = append(slices.Clone(w.params), param{"access", w.access}, param{"depth", fmt.Sprint(depth)})
		list = append(list, w)
	}
	return list
}

func fileReadSettings() (list []fileWork) {
	of := func(cache string) fileWork {
		return fileWork{scenario: fileRead, cache: cache, params: []param{{"cache", cache}}}
	}
	hot := depths(of(cacheHot), 16)
	list = append(list, hot[:3]...) // a span of four blocks in order says nothing
	list = append(list, depths(of(cacheAll), 1, 16, sequentialDepth)...)
	return append(list, depths(of(cacheNone), 16)...)
}

func fileWriteSettings() []fileWork {
	return depths(fileWork{scenario: fileWrite, cache: cacheAll, write: true}, 1, 16)
}

func fileDirectSettings() []fileWork {
	list := depths(fileWork{scenario: fileDirect, params: []param{{"do", "read"}}}, 1, 16)
	writes := depths(fileWork{scenario: fileDirect, write: true, params: []param{{"do", "write"}}}, 16)
	return append(list, writes[:2]...)
}

func fileGroups(scenario string, settings []fileWork) (groups []group) {
	for i := range settings {
		w := &settings[i]
		g := group{scenario: scenario, took: 300 * time.Millisecond, full: w.full, needs: w.possible}
		for _, r := range fileRows {
			if slices.Contains(r.scenarios, scenario) {
				g.cases = append(g.cases, w.testCase(r.String(), func(s *fixture, path string) (runFunc, error) { return loopFile(s, r, w, path) }))
			}
		}
		g.cases = append(g.cases, w.testCase(GoroutineFile, func(s *fixture, path string) (runFunc, error) { return goroutineFile(s, w, path) }))
		g.cases = append(g.cases, w.testCase(IOUringGo, func(*fixture, string) (runFunc, error) { return nil, errIOUringGo }, errIOUringGo.Error()))
		g.cases = append(g.cases, w.fioCases()...)
		g.cases = append(g.cases, w.peerCases()...)
		g.label = (&testCase{params: w.params}).label()
		groups = append(groups, g)
	}
	return groups
}

// fileNote is for all rows.
const fileNote = "no row is pinned; CPU/event is of the whole process with all its threads, those of the kernel that do its io_uring requests (iou-wrk) included, from Linux 5.12 on; " +
	"the kernel's own threads, which write dirty pages back for example, are in no figure"

const uncachedNote = "uncached: the file is dropped from the page cache before each round (posix_fadvise), not from the memory of the device or of a host below; " +
	"reads fill the cache again, so a round at random places ends after a quarter of the blocks"

func (w *fileWork) testCase(row string, setup func(*fixture, string) (runFunc, error), notes ...string) testCase {
	c := testCase{row: row, params: w.params, overlap: true, notes: append([]string{fileNote}, notes...)}
	if w.cache == cacheNone {
		c.notes = append(c.notes, uncachedNote)
	}
	c.setup = func(s *fixture) (runFunc, error) {
		path, err := s.watchFile(w)
		if err != nil {
			return nil, err
		}
		run, err := setup(s, path)
		return func(b budget, rec *report.Recorder) (int64, error) {
			b.most = w.most()
			return run(b, rec)
		}, err
	}
	return c
}

// peerCases are the rows of bench/peers/fileio.
func (w *fileWork) peerCases() (cases []testCase) {
	scenario, flags := fileRead, []string(nil)
	if w.write {
		scenario = fileWrite
	}
	rows := []string{callFloor, ringFloor, registeredFloor}
	if w.direct() {
		rows, flags = append(rows, aioFloor), append(flags, "-direct")
	}
	if w.access == inOrder {
		flags = append(flags, "-sequential")
	}
	for _, name := range rows {
		row, _ := peerOf(name)
		c := w.testCase(name, func(s *fixture, path string) (runFunc, error) {
			args := append([]string{"-scenario", scenario, "-file", path, "-depth", fmt.Sprint(w.depth),
				"-block", fmt.Sprint(w.block()), "-span", fmt.Sprint(w.span())}, flags...)
			return peerSetup(s, row, unpinned, args)
		}, append([]string{peerNote}, row.notes...)...)
		c.outside = true
		cases = append(cases, c)
	}
	return cases
}

// possible is nil if files can be measured so in the folder of the store.
func (w *fileWork) possible(f *fileStore) error {
	path, err := f.path(w.kind())
	if err != nil {
		return err
	}
	switch {
	case w.direct():
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("O_DIRECT is not possible on %s: choose another folder (-file-dir): %w", Filesystem(path), err)
		}
		return unix.Close(fd)
	case w.cache == cacheNone:
		return droppable(path)
	}
	return nil
}

// droppable is an error on a filesystem whose files are always in memory.
func droppable(path string) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := drop(file); err != nil {
		return err
	}
	share, err := cached(file, fileSize)
	if err == nil && share > fewCached {
		err = fmt.Errorf("%s keeps its files in memory: choose another folder (-file-dir)", Filesystem(path))
	}
	return err
}

// fewCached is which share of a file may stay in the page cache although it was dropped.
const fewCached = 0.02

// The figures that show what was in the page cache right before a round and right after it.
const (
	cachedBefore = "cached before, %"
	cachedAfter  = "cached after, %"
)

// watchFile returns the file of w, and has it brought into the state that w asks for right before each
// measurement, and looked at behind it.
func (s *fixture) watchFile(w *fileWork) (path string, err error) {
	if s.files == nil {
		return "", errors.New("there is no folder for files")
	}
	if path, err = s.files.path(w.kind()); err != nil {
		return "", err
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	s.atExit(file.Close)
	s.ready = func() error {
		if err := w.prepare(file); err != nil {
			return err
		}
		return s.cacheFigure(cachedBefore, file, w.span())
	}
	s.sound = func() (bool, error) {
		err := s.cacheFigure(cachedAfter, file, w.span())
		lost := w.evicted(s.figures[cachedAfter])
		return !lost, err
	}
	s.unsound = "the kernel took a part of the file out of the page cache during a round, in each of several tries"
	return path, nil
}

// prepare leaves nothing dirty behind, which would be written back during the round.
func (w *fileWork) prepare(file *os.File) error {
	if w.direct() || w.cache == cacheNone {
		return drop(file)
	}
	if w.write {
		if err := unix.Fdatasync(int(file.Fd())); err != nil {
			return os.NewSyscallError("fdatasync", err)
		}
	}
	return warm(file, w.span())
}

// evicted reports whether something is missing that should be in the page cache.
func (w *fileWork) evicted(percent float64) bool {
	return (w.cache == cacheHot || w.cache == cacheAll) && percent < 100
}

func (s *fixture) cacheFigure(name string, file *os.File, span int64) error {
	share, err := cached(file, span)
	s.figure(name, 100*share)
	return err
}
