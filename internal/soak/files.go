//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/file"
)

// disks are the regular files of a station, for each engine that its loop can have, with and
// without O_DIRECT. Each has an oracle, which every byte that is read is compared with.
type disks struct {
	*station
	dir  string
	all  []*disk
	free []*access // requests go round among the files, or what one leaves behind would not show
}

// disk is one file. It belongs to the home goroutine.
type disk struct {
	*disks
	oracle
	debt   *debt
	path   string
	engine file.Engine
	direct bool

	file    *file.File
	padded  bool // reads past the end see zeros
	under   []*access
	busy    int  // requests under way, of this File and of earlier ones that were closed
	target  int  // how many shall be under way
	closing bool // it is opened again when nothing is under way
	resting bool
	again   *aio.Timer // ends the rest
}

// fileSize is odd, so that the last block is not a whole one.
func (c *config) fileSize() int64 {
	if c.only == onlyFiles {
		return 8<<20 + 77
	}
	return 256<<10 + 77
}

// oneIn returns n, or much more in a run that does nothing but files, and so has many more of them.
func (c *config) oneIn(n int) int {
	if c.only == onlyFiles {
		return n * 4
	}
	return n
}

// depth is how many requests of one file are under way at most.
func (c *config) depth() int {
	if c.only == onlyFiles {
		return 64
	}
	return 16
}

func files(s *station) error {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	g := &disks{station: s, dir: dir}
	s.closers = append(s.closers, func() { s.rep.must("files", os.RemoveAll(dir)) })
	for _, e := range s.cfg.engines() {
		for _, direct := range []bool{false, true} {
			if e == file.EngineLinuxAIO && !direct {
				continue
			}
			if err := g.add(e, direct); err != nil {
				return err
			}
		}
	}
	for i := range 2 {
		g.outsider(i)
	}
	return nil
}

// engines are those to use with the backend.
func (c *config) engines() (engines []file.Engine) {
	for _, e := range []file.Engine{file.EngineAuto, file.EngineIOUring, file.EngineLinuxAIO, file.EngineThreads} {
		if (c.engine == "" || c.engine == e.String()) && (e != file.EngineIOUring || c.backend == aio.IOUring) {
			engines = append(engines, e)
		}
	}
	return engines
}

func (g *disks) add(e file.Engine, direct bool) error {
	d := &disk{disks: g, engine: e, direct: direct}
	name := "file of " + e.String()
	if direct {
		name += " with O_DIRECT"
	}
	d.path = filepath.Join(g.dir, name)
	d.data = make([]byte, g.cfg.fileSize())
	content := pattern(g.seeds.Uint64())
	content.fill(d.data)
	if err := os.WriteFile(d.path, d.data, 0o600); err != nil {
		return err
	}
	var err error
	if !g.do("open", func() { err = d.open() }) {
		return nil
	}
	if err != nil && (g.cfg.engine == "" || direct && e != file.EngineLinuxAIO) && cannot(err) {
		return nil
	}
	if err != nil {
		return err
	}
	d.debt = g.newDebt("%s", name)
	d.again = g.loop.NewTimer(aio.Realtime, d.resume).Named(name)
	g.all = append(g.all, d)
	g.resumers = append(g.resumers, d.resume)
	g.pausers = append(g.pausers, func() { d.again.Stop() })
	g.singles = append(g.singles, single{d.debt, func() { g.once(name, d.single) }})
	g.closers = append(g.closers, d.end)
	return nil
}

// cannot reports whether the engine, or O_DIRECT, is not available here.
func cannot(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EAGAIN)
}

func (d *disk) open() (err error) {
	flags := os.O_RDWR
	if d.direct {
		flags |= unix.O_DIRECT
	}
	options := []file.Option{file.WithEngine(d.engine)}
	if d.random.IntN(2) == 0 { // others wait in the File
		options = append(options, file.WithDepth(1+d.random.IntN(8)))
	}
	if d.padded = d.random.IntN(4) == 0; d.padded {
		options = append(options, file.WithZerosAtEnd())
	}
	if d.random.IntN(2) == 0 {
		options = append(options, file.WithWaitingWrites())
	}
	d.file, err = file.Open(d.loop, d.path, flags, options...)
	if err != nil {
		return err
	}
	if live := d.file.Engine(); d.engine != file.EngineAuto && live.Engine != d.engine {
		return fmt.Errorf("%s has the engine %v", d.path, live)
	}
	return nil
}

// resume begins, and ends a rest.
func (d *disk) resume() {
	d.called(d.debt.name)
	d.resting = false
	d.target = 1 + d.random.IntN(d.cfg.depth())
	d.fill(d.target)
}

// fill begins up to n requests. What would be in the way of others is left out: they fill again when
// they are done.
func (d *disk) fill(n int) {
	for ; n > 0 && d.busy < d.target && !d.paused.Load() && !d.closing && !d.resting && !d.sits(); n-- {
		d.begin()
	}
}

// sits reports whether d has nothing to do in this phase: transfers end at any byte, which those with
// O_DIRECT never do.
func (d *disk) sits() bool { return d.direct && d.rep.shorts.Load() == shortBytes }

// goOn is what comes after each request.
func (d *disk) goOn() {
	if d.closing {
		if d.busy == 0 {
			d.compare()
			if d.must(d.open()) {
				d.closing = false
				d.fill(d.target)
			}
		}
		return
	}
	if d.paused.Load() {
		return
	}
	switch n := d.random.IntN(d.cfg.oneIn(800)); {
	case n == 0:
		d.reopen()
	case n == 1: // requests that find nothing in memory go another way
		d.must(unix.Fadvise(d.file.FD(), 0, 0, unix.FADV_DONTNEED))
	case n < 40 && !d.resting:
		d.resting = true
		d.must(d.again.Reset(time.Duration(d.random.IntN(4)) * time.Millisecond))
	case n < 60 && !d.growing():
		size, err := d.file.Size()
		if d.must(err) && size != d.size() {
			d.rep.fail("%s: %s: the size is %d, not %d", d.name, d.debt.name, size, d.size())
		}
	}
	d.fill(2)
}

// reopen closes the File, with requests under way. The next one is opened immediately, beside
// them, or when they are done and the file was compared.
func (d *disk) reopen() {
	d.rep.counts.reopened.Add(1)
	old := d.file
	d.must(old.Close())
	if old.Read(d.reused(nil)) == nil {
		d.rep.fail("%s: %s: a closed File reads", d.name, d.debt.name)
	}
	if d.random.IntN(2) == 0 && d.must(d.open()) {
		return
	}
	if d.closing = true; d.busy == 0 {
		d.goOn()
	}
}

// compare looks at the whole file. Nothing is under way, and no File is open.
func (d *disk) compare() {
	got, err := os.ReadFile(d.path)
	if d.must(err) && !bytes.Equal(got, d.data) {
		at := 0
		for at < len(got) && at < len(d.data) && got[at] == d.data[at] {
			at++
		}
		d.rep.fail("%s: %s: as a whole it is not what was written, from byte %d on; it has %d bytes, not %d", d.name, d.debt.name, at, len(got), len(d.data))
	}
	d.rep.counts.compared.Add(1)
	if size := d.cfg.fileSize(); d.size() > size { // or it would grow until nothing can
		d.must(os.Truncate(d.path, size))
		d.data = d.data[:size]
	}
}

// end is for a file with nothing under way.
func (d *disk) end() {
	d.must(d.again.Close())
	if d.cfg.fault != faultLeftFile {
		d.must(d.file.Close())
	}
	d.compare()
}

func (d *disk) must(err error) bool { return d.rep.must(d.name+": "+d.debt.name, err) }
