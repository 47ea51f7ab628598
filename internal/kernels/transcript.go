//go:build linux

package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aioloop/aioloop/internal/kernels/protocol"
)

// transcript is what a guest has said, taken apart.
type transcript struct {
	release  string
	features map[string]string // name: outcome, with the error if it is not "works"
	backend  [2]string         // name, reason
	jobs     []*jobResult      // in the order in which they ended or were given up
	done     bool
	silent   time.Duration // if not 0, the guest was stopped after so long a silence
	panicked string        // the kernel's line
	emulated bool          // the emulation has made it panic
	hurried  string        // the first job that has taken much longer by the guest's clock than by the host's

	live     bool                 // the guest runs now: its clock is compared with that of the host
	cpu      func() time.Duration // what the emulator has used of the host's CPUs
	cpuTotal time.Duration        // at the end

	running *jobResult
	tail    []string // the last lines of the console
}

// jobResult is what came of one job.
type jobResult struct {
	name    string
	tests   []testResult
	refused string // why this kernel cannot run it
	problem string // anything but exit status 0
	took    time.Duration
	began   time.Time     // of the host
	cpu     time.Duration // of the host; 0 if it is not known. Unlike took, it hardly grows on a busy machine
	tail    []string

	tests2json
}

// testResult is one test, subtest or benchmark.
type testResult struct {
	name    string
	outcome string // PASS, FAIL, SKIP
	took    time.Duration
	output  []string
}

// reason is why a test was skipped: the last thing it has said.
func (r testResult) reason() string {
	for _, line := range slices.Backward(r.output) {
		if line = position.ReplaceAllString(strings.TrimSpace(line), ""); line != "" {
			return line
		}
	}
	return "no reason given"
}

var position = regexp.MustCompile(`^[\w.]+\.go:\d+: `)

const tailLines = 25

func newTranscript() *transcript {
	return &transcript{features: map[string]string{}, cpu: func() time.Duration { return 0 }}
}

func (t *transcript) started() bool { return t.release != "" }

// victim reports whether the emulation is to blame for how the guest has ended.
func (t *transcript) victim() bool {
	return t.hurried != "" || t.panicked != "" && (t.emulated || !t.started())
}

// kernelsWords are those that the kernel writes to the console, also behind what a job has begun.
var kernelsWords = regexp.MustCompile(`\[ *\d+\.\d{6}\] `)

// line takes one line of the console.
func (t *transcript) line(line string) {
	line = strings.TrimRight(line, "\r\n")
	if at := kernelsWords.FindStringIndex(line); at != nil && at[0] > 0 {
		t.line(line[:at[0]])
		line = line[at[0]:]
	}
	kind, fields, ok := protocol.Parse(line)
	shown := line
	if ok {
		shown = strings.Join(append([]string{string(kind)}, fields...), "  ")
	}
	t.tail = appendTail(t.tail, shown)
	if !ok {
		t.emulated = t.emulated || strings.Contains(line, "Oops: int3")
		if strings.Contains(line, "Kernel panic") && t.panicked == "" {
			t.panicked = line
		}
		if t.running != nil { // the kernel's own words may be the cause, out of memory for example
			t.running.tail = appendTail(t.running.tail, line)
		}
		return
	}
	t.entry(kind, append(fields, "", "", "")) // so that none is missing
}

func (t *transcript) entry(kind protocol.Kind, fields []string) {
	switch kind {
	case protocol.Kernel:
		t.release = fields[0]
	case protocol.Feature:
		t.features[fields[0]] = strings.TrimSuffix(fields[1]+": "+fields[2], ": ")
	case protocol.Backend:
		t.backend = [2]string{fields[0], fields[1]}
	case protocol.Begin:
		t.running = &jobResult{name: fields[0], began: time.Now(), cpu: t.cpu()}
	case protocol.Refused:
		t.jobs = append(t.jobs, &jobResult{name: fields[0], refused: fields[1]})
	case protocol.Output:
		if t.running != nil {
			t.running.line(fields[0])
		}
	case protocol.End:
		t.end(fields[1], fields[2])
	case protocol.Done:
		t.done = true
	}
}

func (t *transcript) end(how, ms string) {
	if t.running == nil {
		return
	}
	if how != protocol.OK {
		t.running.problem = how
	}
	n, _ := strconv.Atoi(ms) // only for people
	t.running.took = time.Duration(n) * time.Millisecond
	t.running.cpu = t.cpu() - t.running.cpu
	if t.live && t.running.took > 2*time.Since(t.running.began)+hurry && t.hurried == "" {
		t.hurried = t.running.name
	}
	t.running.giveUpRunning(&t.running.tests)
	t.jobs = append(t.jobs, t.running)
	t.running = nil
}

// hurry is how far the guest's clock may get ahead in a job: the lines of its end and of its beginning
// may come late.
const hurry = 5 * time.Second

// problem is why the guest did not get to its end, or empty.
func (t *transcript) problem() string {
	during := ""
	if t.running != nil {
		during = " during " + t.running.name
	}
	switch {
	case t.panicked != "":
		return "the kernel panicked" + during + ": " + t.panicked
	case t.hurried != "":
		return "its clock is wrong: " + t.hurried + " took more than twice as long by it as by that of the host"
	case t.silent > 0:
		return fmt.Sprintf("hung%s: nothing was heard for %v", during, t.silent)
	case !t.done:
		return "the guest ended" + during + " before its time"
	}
	return ""
}

func (j *jobResult) line(line string) {
	j.tail = appendTail(j.tail, strings.ReplaceAll(line, "\x16", ""))
	if r, ok := j.tests2json.line(line); ok {
		j.tests = append(j.tests, r)
	}
}

func appendTail(tail []string, line string) []string {
	if len(tail) == tailLines {
		tail = slices.Delete(tail, 0, 1)
	}
	return append(tail, line)
}

// tests2json follows the output of a test binary with -test.v=test2json: lines of
// the test framework come after a ^V, which no test writes.
type tests2json struct {
	current string
	output  map[string][]string // of the tests that run
}

var (
	speaks = regexp.MustCompile(`^=== (RUN|CONT|NAME|PAUSE)\s+(\S*)`)
	ended  = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP|BENCH): (\S+)(?: \(([\d.]+s)\))?`)
)

// line returns the result of a test that has ended.
func (s *tests2json) line(line string) (r testResult, ok bool) {
	if s.output == nil {
		s.output = map[string][]string{}
	}
	said, frame, framed := cutLast(line, "\x16")
	if said != "" {
		s.says(said)
	}
	if !framed {
		return r, false
	}
	if m := speaks.FindStringSubmatch(frame); m != nil {
		s.current = m[2]
		if _, known := s.output[s.current]; !known && s.current != "" {
			s.output[s.current] = nil
		}
		return r, false
	}
	if m := ended.FindStringSubmatch(frame); m != nil {
		r = testResult{name: m[2], outcome: m[1], output: s.output[m[2]]}
		r.took, _ = time.ParseDuration(m[3]) // only for people
		delete(s.output, m[2])
		return r, m[1] != "BENCH"
	}
	return r, false
}

func (s *tests2json) says(line string) {
	if _, runs := s.output[s.current]; runs {
		s.output[s.current] = append(s.output[s.current], line)
	}
}

// giveUpRunning reports the tests that have begun but not ended as failed. A benchmark
// that has ended says so in a line of figures only.
func (s *tests2json) giveUpRunning(to *[]testResult) {
	for name, output := range s.output {
		r := testResult{name: name, outcome: "FAIL", output: append(output, "it did not end")}
		if strings.HasPrefix(name, "Benchmark") {
			r.outcome = "PASS"
		}
		*to = append(*to, r)
	}
	s.output = nil
}

// cutLast cuts around the last separator.
func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}
