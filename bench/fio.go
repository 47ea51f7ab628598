package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"github.com/aioloop/aioloop/bench/report"
)

// fioRow is an engine of fio, which is used where it is installed.
type fioRow struct {
	engine    string
	scenarios []string
	note      string
}

var fioRows = []fioRow{
	{"psync", []string{fileRead, fileWrite}, "fio psync: one call at a time, whatever the depth"},
	{"io_uring", []string{fileRead, fileWrite, fileDirect}, "fio io_uring: no registrations, no polling"},
	{"libaio", []string{fileDirect}, "fio libaio: it would block without O_DIRECT"},
}

func (f fioRow) name() string { return "fio " + f.engine }

func fioOf(row string) (fioRow, bool) {
	i := slices.IndexFunc(fioRows, func(f fioRow) bool { return f.name() == row })
	if i < 0 {
		return fioRow{}, false
	}
	return fioRows[i], true
}

// fioNote is for all of them.
const fioNote = "fio: started for each round, its requests are made at random or in order as ours are; its latencies are from submission to completion, from the bins of its histogram"

// fioLeast is how long fio runs at least: it counts its time in milliseconds.
const fioLeast = 100 * time.Millisecond

func (w *fileWork) fioCases() (cases []testCase) {
	for _, f := range fioRows {
		if !slices.Contains(f.scenarios, w.scenario) {
			continue
		}
		c := w.testCase(f.name(), func(s *fixture, path string) (runFunc, error) {
			return func(b budget, rec *report.Recorder) (int64, error) {
				run, err := runFio(append(w.fioArgs(f, path), w.fioBudget(b)...), w.write)
				if err != nil {
					return 0, err
				}
				for took, n := range run.samples {
					for range n {
						rec.Record(took)
					}
				}
				s.cpu += run.cpu
				s.elapsed += run.elapsed
				return run.ops, nil
			}, nil
		}, fioNote, f.note)
		c.outside = true
		cases = append(cases, c)
	}
	return cases
}

func (w *fileWork) fioArgs(f fioRow, path string) []string {
	do := map[[2]bool]string{{false, false}: "randread", {true, false}: "randwrite", {false, true}: "read", {true, true}: "write"}
	direct := "0"
	if w.direct() {
		direct = "1"
	}
	return []string{
		"--name=bench", "--filename=" + path, "--ioengine=" + f.engine, "--rw=" + do[[2]bool{w.write, w.access == inOrder}],
		"--bs=" + fmt.Sprint(w.block()), "--size=" + fmt.Sprint(w.span()), "--iodepth=" + fmt.Sprint(w.depth), "--direct=" + direct,
		"--invalidate=0", "--norandommap", "--randrepeat=0", // the cache is as watchFile has left it
		"--lat_percentiles=1", "--output-format=json+",
	}
}

// fioBudget says how much fio does. With --time_based it would ignore the number of bytes.
func (w *fileWork) fioBudget(b budget) []string {
	if b.ops > 0 {
		return []string{"--io_size=" + fmt.Sprint(b.ops*w.block())}
	}
	args := []string{"--runtime=" + fmt.Sprint(max(b.until-now(), fioLeast).Milliseconds()) + "ms"}
	if b.most > 0 {
		return append(args, "--io_size="+fmt.Sprint(b.most*w.block()))
	}
	return append(args, "--time_based")
}

// fioRun is what a run of fio gave.
type fioRun struct {
	ops          int64
	samples      map[time.Duration]int64
	cpu, elapsed time.Duration
}

func runFio(args []string, write bool) (*fioRun, error) {
	path, err := exec.LookPath("fio")
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	watchdog := time.AfterFunc(peerLimit, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()
	if err := cmd.Wait(); err != nil {
		return nil, peerError(path, err, firstLine(stderr.String()))
	}
	return parseFio(stdout.Bytes(), write)
}

// fioSide is what fio reports of reads or of writes.
type fioSide struct {
	Ops     int64   `json:"total_ios"`
	IOPS    float64 `json:"iops"`
	Latency struct {
		Bins map[string]int64 `json:"bins"`
	} `json:"lat_ns"`
}

var errFio = errors.New("the output of fio is not what this version understands")

// fioJob is a job as --output-format=json+ shows it.
type fioJob struct {
	Error   int     `json:"error"`
	Read    fioSide `json:"read"`
	Write   fioSide `json:"write"`
	Runtime float64 `json:"job_runtime"` // ms
	User    float64 `json:"usr_cpu"`     // per cent
	System  float64 `json:"sys_cpu"`
}

// parseFio reads what fio printed. Lines may precede its JSON.
func parseFio(out []byte, write bool) (*fioRun, error) {
	var doc struct{ Jobs []fioJob }
	if err := json.Unmarshal(out[max(bytes.IndexByte(out, '{'), 0):], &doc); err != nil {
		return nil, fmt.Errorf("%w: %w", errFio, err)
	}
	if len(doc.Jobs) != 1 {
		return nil, fmt.Errorf("%w: %d jobs", errFio, len(doc.Jobs))
	}
	job := &doc.Jobs[0]
	side := &job.Read
	if write {
		side = &job.Write
	}
	switch {
	case job.Error != 0:
		return nil, fmt.Errorf("fio says error %d", job.Error)
	case side.Ops < 1 || side.IOPS <= 0 || !(job.Runtime >= 0 && job.User >= 0 && job.System >= 0):
		return nil, fmt.Errorf("%w: %d requests, %v a second", errFio, side.Ops, side.IOPS)
	}
	r := &fioRun{samples: map[time.Duration]int64{}, cpu: time.Duration(job.Runtime * 1e6 * (job.User + job.System) / 100)}
	if err := r.count(side); err != nil {
		return nil, err
	}
	r.elapsed = time.Duration(float64(r.ops) / side.IOPS * 1e9)
	return r, nil
}

// count takes the samples over.
func (r *fioRun) count(side *fioSide) error {
	for text, n := range side.Latency.Bins {
		ns, err := strconv.ParseInt(text, 10, 64)
		if err != nil || ns < 0 || ns > int64(peerLimit) || n < 0 || n > side.Ops {
			return fmt.Errorf("%w: a bin of %q with %d samples", errFio, text, n)
		}
		r.samples[time.Duration(ns)] += n
		r.ops += n
	}
	if r.ops == 0 {
		return fmt.Errorf("%w: no latencies", errFio)
	}
	return nil
}
