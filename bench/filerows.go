package bench

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/bench/report"
	"github.com/aioloop/aioloop/file"
)

// fileRow is a File of the library: an engine, and the loop that it is on.
type fileRow struct {
	engine    file.Engine
	backend   aio.Backend
	mode      aio.Mode
	floor     string
	scenarios []string
	opts      []file.Option
	how       string // what they do, for the name
}

// Each of them answers a question: what does a program get that chooses nothing, with io_uring,
// without it, and in park mode; and what do the ways cost by themselves that auto chooses from.
var fileRows = []fileRow{
	{engine: file.EngineAuto, backend: aio.IOUring, mode: aio.ModeThread, floor: ringFloor, scenarios: []string{fileRead, fileWrite, fileDirect}},
	{engine: file.EngineAuto, backend: aio.IOUring, mode: aio.ModePark, floor: ringFloor, scenarios: []string{fileRead, fileDirect}},
	{engine: file.EngineIOUring, backend: aio.IOUring, mode: aio.ModeThread, floor: ringFloor, scenarios: []string{fileRead, fileWrite}}, // with O_DIRECT, auto is the same
	{engine: file.EngineAuto, backend: aio.Epoll, mode: aio.ModeThread, floor: callFloor, scenarios: []string{fileRead, fileWrite}},
	{engine: file.EngineAuto, backend: aio.Epoll, mode: aio.ModeThread, floor: callFloor, scenarios: []string{fileWrite}, opts: []file.Option{file.WithWaitingWrites()}, how: "waiting"},
	{engine: file.EngineLinuxAIO, backend: aio.Epoll, mode: aio.ModeThread, floor: aioFloor, scenarios: []string{fileDirect}},
	{engine: file.EngineThreads, backend: aio.Epoll, mode: aio.ModeThread, floor: callFloor, scenarios: []string{fileRead, fileDirect}},
	{engine: file.EngineThreads, backend: aio.Epoll, mode: aio.ModePark, floor: callFloor, scenarios: []string{fileRead, fileWrite, fileDirect}},
}

// The rows of bench/peers/fileio.
const (
	callFloor       = "pread/pwrite (C)"
	ringFloor       = "io_uring file (C)"
	registeredFloor = "io_uring registered (C)"
	aioFloor        = "linux-aio (C)"
)

const (
	// GoroutineFile is as many goroutines as there are requests, each with os.File's ReadAt
	// or WriteAt.
	GoroutineFile = "goroutines+ReadAt"
	// IOUringGo is the package iouring-go in its own way.
	IOUringGo = "iouring-go"
)

// String is the name of the row.
func (r fileRow) String() string {
	name := r.engine.String() + " on " + r.backend.String()
	if r.mode == aio.ModePark {
		name += " park"
	}
	if r.how != "" {
		name += " " + r.how
	}
	return name
}

func (r fileRow) loop() loopRow {
	return loopRow{variant: variant{mode: r.mode}, name: r.backend.String(), backend: r.backend}
}

func fileRowNames() (names []string) {
	for _, r := range fileRows {
		names = append(names, r.String())
	}
	return names
}

func fileRowOf(name string) (fileRow, bool) {
	i := slices.Index(fileRowNames(), name)
	if i < 0 {
		return fileRow{}, false
	}
	return fileRows[i], true
}

// otherFileRows are what stands beside them, bench/peers apart.
func otherFileRows() []string {
	names := []string{GoroutineFile, IOUringGo}
	for _, f := range fioRows {
		names = append(names, f.name())
	}
	return names
}

// errIOUringGo is why its row has no figures. Its parts that can be linked have no way to read a
// file, and a loop of our own around them would not be its way.
var errIOUringGo = errors.New("a program that imports its root package does not link with Go 1.23 and later (invalid reference to syscall.Sockaddr.sockaddr)")

// availableFile is Available for the rows of the file scenarios that are no peers.
func availableFile(row string) error {
	if row == IOUringGo {
		return errIOUringGo
	}
	if _, ok := fioOf(row); ok {
		if _, err := exec.LookPath("fio"); err != nil {
			return fmt.Errorf("fio is not installed: %w", exec.ErrNotFound)
		}
	}
	return nil
}

// describeFileRow describes a row of the file scenarios that is no peer.
func describeFileRow(name string) (row report.Row, ok bool) {
	if r, ok := fileRowOf(name); ok {
		return report.Row{Name: name, Kind: report.Own, Floor: r.floor, Colour: r.backend.String()}, true
	}
	if _, ok := fioOf(name); ok {
		return report.Row{Name: name, Reference: name, Process: true, Colour: "libev (C)"}, true
	}
	switch name {
	case GoroutineFile:
		return report.Row{Name: name, Reference: "goroutines", Colour: GoroutineChannel}, true
	case IOUringGo:
		return report.Row{Name: name, Colour: GoroutineChannel}, true
	}
	return report.Row{}, false
}
