package bench

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/bench/report"
)

// peerRow is a row that is a program of bench/peers.
type peerRow struct {
	name          string
	program, mode string
	peer          string // what the program calls itself
	apart         bool   // it needs two CPUs
	notes         []string

	kind      report.Kind
	reference string      // the heading of ratios to it, if the report has them
	floorOf   aio.Backend // that it is the floor of; the zero value for none
	colour    string      // the row whose colour it has in pictures, if not its own
}

// The floors are what the kernel's interfaces cost by themselves; each of the others
// is an event loop.
var peerRows = []peerRow{
	{name: "gnet (Go)", program: "gnet", mode: "execute", peer: "gnet", reference: "gnet", colour: GoroutineChannel, notes: []string{gnetNote}},
	{name: "libev (C)", program: "libev", mode: "ev_async", peer: "libev", reference: "libev", notes: []string{libevNote}},
	{name: "libuv (C)", program: "libuv", mode: "uv_async", peer: "libuv", reference: "libuv", colour: "libev (C)", notes: []string{libuvNote}},
	{name: "glib (C)", program: "glib", mode: "ready-time", peer: "glib", reference: "GLib", notes: []string{glibNote}},
	{name: "futex (C)", program: "floor", mode: "futex", peer: "c", kind: report.Floor, reference: "futex"},
	{name: "spin (C)", program: "floor", mode: "spin", peer: "c", kind: report.Floor, reference: "spin", colour: "futex (C)", apart: true, notes: []string{spinNote}},
	{name: "ppoll+read (C)", program: "floor", mode: "ppoll", peer: "c", kind: report.Floor, floorOf: aio.Ppoll, colour: "ppoll"},
	{name: "epoll-et (C)", program: "floor", mode: "epoll-et", peer: "c", kind: report.Floor, floorOf: aio.Epoll, colour: "epoll"},
	{name: "epoll+read (C)", program: "floor", mode: "epoll", peer: "c", kind: report.Floor, colour: "epoll"},
	{name: "io_uring (C)", program: "floor", mode: "io_uring", peer: "c", kind: report.Floor, floorOf: aio.IOUring, colour: "io_uring"},
	{name: "io_uring-oneshot (C)", program: "floor", mode: "io_uring-oneshot", peer: "c", kind: report.Floor, colour: "io_uring"},
	{name: callFloor, program: "fileio", mode: "pread", peer: "c", kind: report.Floor, reference: "pread/pwrite", colour: "futex (C)", notes: []string{callNote}},
	{name: ringFloor, program: "fileio", mode: "io_uring", peer: "c", kind: report.Floor, reference: "io_uring", colour: "io_uring"},
	{name: registeredFloor, program: "fileio", mode: "io_uring-registered", peer: "c", kind: report.Floor, reference: "registered", colour: "io_uring", notes: []string{registeredNote}},
	{name: aioFloor, program: "fileio", mode: "linux-aio", peer: "c", kind: report.Floor, reference: "linux-aio", colour: "epoll"},
}

const (
	peerNote       = "a program of its own from bench/peers, started again for each round; allocations are not counted"
	gnetNote       = "gnet: two clients with one event loop each, woken with EventLoop.Execute; goroutines are not locked to threads"
	libevNote      = "libev: each loop is woken with ev_async; in self-notifier and idle-fds, an ev_io watches an eventfd"
	libuvNote      = "libuv: each loop is woken with uv_async; in self-notifier and idle-fds, a uv_poll watches an eventfd"
	glibNote       = "GLib: a thread with a GMainContext and one GSource that g_source_set_ready_time triggers and that dispatches a callback, as a bottom half does; in self-notifier and idle-fds, a GSource that watches an eventfd"
	callNote       = "pread/pwrite: one call at a time, whatever the depth"
	registeredNote = "registered: the ring, the file and the buffers are registered"
	spinNote       = "spin: both threads look at a shared flag all the time, each on a CPU of its own"
)

func peerNames() (names []string) {
	for _, p := range peerRows {
		names = append(names, p.name)
	}
	return names
}

func peerOf(row string) (peerRow, bool) {
	i := slices.IndexFunc(peerRows, func(p peerRow) bool { return p.name == row })
	if i < 0 {
		return peerRow{}, false
	}
	return peerRows[i], true
}

// IsPeer reports whether a row is a program of bench/peers, which is there only if it
// was built.
func IsPeer(row string) bool { return slices.Contains(peerNames(), row) }

// Those that take part in a scenario are named by these lists.
func loopPeers() []string { return []string{"libev (C)", "libuv (C)", "glib (C)"} }

func fdFloors() []string {
	return []string{"ppoll+read (C)", "epoll-et (C)", "epoll+read (C)", "io_uring (C)", "io_uring-oneshot (C)"}
}

// peerPinning says which CPUs the two threads of a peer run on.
type peerPinning int

const (
	unpinned       peerPinning = iota // none of them pinned
	pinnedTogether                    // both on the CPU of the loop
	pinnedApart                       // the loop at home, who wakes it on another CPU
)

// cases makes one for each of the rows.
func peerCases(rows []string, params []param, pinning peerPinning, args ...string) (cases []testCase) {
	for _, name := range rows {
		row, _ := peerOf(name)
		c := testCase{row: name, params: params, outside: true, notes: append([]string{peerNote}, row.notes...)}
		own := pinning
		if row.apart {
			own = pinnedApart
		}
		c.setup = func(s *fixture) (runFunc, error) { return peerSetup(s, row, own, args) }
		cases = append(cases, c)
	}
	return cases
}

func peerSetup(s *fixture, row peerRow, pinning peerPinning, args []string) (runFunc, error) {
	path, err := findPeer(row.program)
	if err != nil {
		return nil, err
	}
	args = append(append([]string{row.mode, "-raw"}, args...), s.pinningArgs(pinning)...)
	return func(b budget, rec *report.Recorder) (int64, error) {
		run, err := row.run(path, append(args, budgetArgs(b)...))
		if err != nil {
			return 0, err
		}
		for _, took := range run.samples {
			recordBatch(rec, took, run.batch)
		}
		s.cpu += run.cpu
		s.elapsed += run.elapsed
		if run.bytesPerIdle > 0 {
			s.figure(bytesPerFD, run.bytesPerIdle)
		}
		return run.ops(), nil
	}, nil
}

func (s *fixture) pinningArgs(pinning peerPinning) []string {
	if pinning == unpinned {
		return []string{"-cpu", "none"}
	}
	home, err := s.cpus.of(atHome)
	if err != nil {
		s.note("not pinned: " + err.Error())
		return []string{"-cpu", "none"}
	}
	if other, err := s.cpus.of(elsewhere); pinning == pinnedApart && err == nil {
		return []string{"-cpus", fmt.Sprintf("%d,%d", home, other)}
	} else if pinning == pinnedApart {
		s.note("not pinned: " + err.Error())
	}
	return []string{"-cpu", fmt.Sprint(home)}
}

// shortest is a duration that no operation of a peer stays below on average.
const shortest = 100 * time.Nanosecond

// peerSamples is how many samples a peer takes at most, whatever the time.
const peerSamples = 1_000_000

func budgetArgs(b budget) []string {
	micros := func(d time.Duration) string { return fmt.Sprint(max(d.Microseconds(), 1)) }
	if b.ops > 0 {
		return []string{"-n", fmt.Sprint(b.ops), "-warmup", fmt.Sprint(min(warmLeast, b.ops))}
	}
	left := max(b.until-now(), time.Millisecond)
	most := min(int64(left/shortest), peerSamples)
	if b.most > 0 {
		most, b.warm = min(most, b.most), 0 // what it would warm has to be cold
	}
	return []string{"-n", fmt.Sprint(most), "-time_us", micros(left), "-warm_us", micros(b.warm)}
}

// peerLimit is how long a round of a peer may take before it counts as stuck.
const peerLimit = 2 * time.Minute

// run runs the program once.
func (p peerRow) run(path string, args []string) (*peerRun, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	watchdog := time.AfterFunc(peerLimit, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	if !watchdog.Stop() {
		return nil, fmt.Errorf("%s %s did not end within %v", filepath.Base(path), p.mode, peerLimit)
	}
	if err != nil {
		return nil, peerError(path, err, stderr.String())
	}
	run, err := parsePeer(stdout.Bytes())
	if err == nil && (run.peer != p.peer || run.mode != p.mode) {
		err = fmt.Errorf("%w: it comes from %q, mode %q, instead of %q, mode %q", errPeerOutput, run.peer, run.mode, p.peer, p.mode)
	}
	return run, err
}

// peerError is the sentence of the program itself, if it has one.
func peerError(path string, err error, stderr string) error {
	if stderr = strings.TrimSpace(stderr); stderr != "" {
		return fmt.Errorf("%s: %s", filepath.Base(path), stderr)
	}
	return fmt.Errorf("%s: %w", filepath.Base(path), err)
}

// peerRun is what one round of a peer gave.
type peerRun struct {
	peer, mode   string
	samples      []time.Duration // each of a batch
	batch        int64
	cpu          time.Duration // of all operations
	elapsed      time.Duration // for all of them
	bytesPerIdle float64
}

func (r *peerRun) ops() int64 { return int64(len(r.samples)) * r.batch }

// errPeerOutput is wrapped by every error about what a peer printed.
var errPeerOutput = errors.New("the peer's output is not what this version understands; make bench builds it again")

// peerHead is the line of JSON. Everything is a pointer or a string, so that what is
// missing is noticed.
type peerHead struct {
	Peer, Mode   string
	Samples      *int64
	Batch        *int64
	CPUNSPerOp   *float64 `json:"cpu_ns_per_op"`
	ElapsedNS    float64  `json:"elapsed_ns"`
	BytesPerIdle float64  `json:"bytes_per_idle"`
}

// parsePeer reads a line of JSON, and behind it each sample in nanoseconds, as 64
// bits in the byte order of the machine.
func parsePeer(out []byte) (*peerRun, error) {
	line, raw, _ := bytes.Cut(out, []byte("\n"))
	var h peerHead
	if err := json.Unmarshal(line, &h); err != nil {
		return nil, fmt.Errorf("%w: %w", errPeerOutput, err)
	}
	if err := h.check(len(raw)); err != nil {
		return nil, fmt.Errorf("%w: %w", errPeerOutput, err)
	}
	r := &peerRun{peer: h.Peer, mode: h.Mode, batch: *h.Batch, bytesPerIdle: h.BytesPerIdle, elapsed: time.Duration(h.ElapsedNS)}
	for ; len(raw) > 0; raw = raw[8:] {
		ns := binary.NativeEndian.Uint64(raw)
		if ns > uint64(peerLimit) {
			return nil, fmt.Errorf("%w: a sample of %d ns", errPeerOutput, ns)
		}
		r.samples = append(r.samples, time.Duration(ns))
	}
	r.cpu = time.Duration(*h.CPUNSPerOp * float64(r.ops()))
	return r, nil
}

func (h *peerHead) check(raw int) error {
	const most = 1 << 30 // operations, so that their product with a time does not overflow
	switch {
	case h.Samples == nil || h.Batch == nil || h.CPUNSPerOp == nil:
		return errors.New("samples, batch or cpu_ns_per_op is missing")
	case *h.Samples < 1 || *h.Samples > most || *h.Batch < 1 || *h.Batch > most / *h.Samples:
		return fmt.Errorf("%d samples of %d operations", *h.Samples, *h.Batch)
	case int64(raw) != 8**h.Samples:
		return fmt.Errorf("%d bytes of samples instead of %d", raw, 8**h.Samples)
	case !(*h.CPUNSPerOp >= 0 && *h.CPUNSPerOp*float64(*h.Samples**h.Batch) < float64(time.Hour)):
		return fmt.Errorf("cpu_ns_per_op is %v", *h.CPUNSPerOp)
	case !(h.ElapsedNS >= 0 && h.ElapsedNS < float64(time.Hour)):
		return fmt.Errorf("elapsed_ns is %v", h.ElapsedNS)
	case math.IsNaN(h.BytesPerIdle) || math.IsInf(h.BytesPerIdle, 0):
		return fmt.Errorf("bytes_per_idle is %v", h.BytesPerIdle)
	}
	return nil
}
