package polling

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// The simulation of adaptive polling: both rules on the same traffic, in virtual
// time, so that its figures are the same everywhere.

var update = flag.Bool("update", false, "write testdata/pollrules.txt")

// The model: handling an event takes some time, and a sleep ends late by the price
// of a wake-up, unless the event came while the loop fell asleep. Nothing else takes
// time. The CPU is busy while it handles an event or spins, and for some time in each sleep.
const (
	handling   = 500 * time.Nanosecond
	fallAsleep = 1 * µs
	aSleep     = 5 * µs
)

var wakeups = []time.Duration{1 * µs, 5 * µs, 29 * µs}

const simulatedMax = 32 * µs

// candidate is a rule under comparison; kernel means that its events carry no stamps.
type candidate struct {
	name   string
	config Config
	kernel bool
}

var candidates = []candidate{
	{name: "off"},
	{name: "QEMU", config: Config{Max: simulatedMax}},
	{name: "learned", config: Config{Max: simulatedMax, Learned: true}},
	{name: "learned, no stamps", config: Config{Max: simulatedMax, Learned: true}, kernel: true},
}

// outcome is what a rule has made of a trace.
type outcome struct {
	late      []time.Duration // per event, sorted
	spun, all time.Duration
	slept     int
	found     int             // events while it spun
	spins     []time.Duration // per event, in order
}

func (o *outcome) mean() time.Duration {
	var sum time.Duration
	for _, d := range o.late {
		sum += d
	}
	return sum / time.Duration(len(o.late))
}

func (o *outcome) quantile(percent int) time.Duration { return o.late[len(o.late)*percent/100] }

// cpu returns the CPU time of an event.
func (o *outcome) cpu() time.Duration {
	n := time.Duration(len(o.late))
	return handling + (o.spun+time.Duration(o.slept)*aSleep)/n
}

// simulate runs the loop on a trace.
func simulate(use candidate, wakeup time.Duration, next traffic) *outcome {
	rule := NewRule(use.config)
	var o outcome
	var now time.Duration
	immediate := 0
	for at, ok := next(now); ok; at, ok = next(now) {
		late, spun := max(now-at, 0), time.Duration(0)
		if at > now {
			s := wait(rule.Window, at-now, wakeup)
			s.Immediate, immediate = immediate, 0
			late, spun = s.Blocked-s.Arrived, s.Spun
			if s.Woken {
				o.slept++
			} else {
				o.found++
			}
			if use.kernel && s.Woken {
				s.Arrived, s.Woken = Unknown, false
			}
			rule.Learn(s)
			now += s.Blocked
		} else {
			immediate++
		}
		o.spun += spun
		o.late = append(o.late, late)
		o.spins = append(o.spins, spun)
		now += handling
	}
	o.all = now
	slices.Sort(o.late)
	return &o
}

// wait is one sleep, or spin.
func wait(window, idle, wakeup time.Duration) Sample {
	if idle <= window {
		return Sample{Spun: idle, Arrived: idle, Blocked: idle}
	}
	blocked := idle + wakeup
	if idle <= window+fallAsleep {
		blocked = min(blocked, window+fallAsleep)
	}
	return Sample{Spun: window, Arrived: idle, Blocked: blocked, Woken: true}
}

// TestPollRules compares the rules, and what comes out with testdata/pollrules.txt.
// go test -run PollRules -update rewrites that file.
func TestPollRules(t *testing.T) {
	got := simulationTable()
	t.Logf("\n%s", got)
	const name = "testdata/pollrules.txt"
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the rules no longer do what %s says", name)
	}
}

func simulationTable() []byte {
	var table bytes.Buffer
	fmt.Fprintf(&table, "Adaptive polling, simulated: lateness of events in µs, mean/p50/p99, and the CPU time of one.\n"+
		"Max %v; an event is handled in %v, a sleep costs %v of CPU. After %d events \"stops\" has one every 10 ms.\n\n",
		simulatedMax, handling, aSleep, stopsAfter)
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "traffic\twake-up")
	for _, use := range candidates {
		fmt.Fprintf(w, "\t%s\tCPU", use.name)
	}
	fmt.Fprintln(w)
	for _, trace := range traces {
		for _, wakeup := range wakeups {
			fmt.Fprintf(w, "%s\t%v", trace.name, wakeup)
			for _, use := range candidates {
				o := simulate(use, wakeup, trace.make())
				fmt.Fprintf(w, "\t%s/%s/%s\t%s", inµs(o.mean()), inµs(o.quantile(50)), inµs(o.quantile(99)), inµs(o.cpu()))
			}
			fmt.Fprintln(w)
		}
	}
	w.Flush()
	return table.Bytes()
}

// trace returns that of a name.
func trace(name string) traffic {
	for _, candidate := range traces {
		if candidate.name == name {
			return candidate.make()
		}
	}
	panic("no trace " + name)
}

// rules calls f for the outcomes of each trace at each price of a wake-up.
func rules(t *testing.T, f func(t *testing.T, wakeup time.Duration, off, qemu, learned *outcome)) {
	for _, trace := range traces {
		for _, wakeup := range wakeups {
			t.Run(fmt.Sprintf("%s/wakeup=%v", trace.name, wakeup), func(t *testing.T) {
				f(t, wakeup, simulate(candidates[0], wakeup, trace.make()),
					simulate(candidates[1], wakeup, trace.make()), simulate(candidates[2], wakeup, trace.make()))
			})
		}
	}
}

// Where QEMU's rule finds most events, and has them sooner for it.
func TestLearnedRuleIsNoLaterThanQEMUs(t *testing.T) {
	rules(t, func(t *testing.T, wakeup time.Duration, _, qemu, learned *outcome) {
		if qemu.quantile(50) == 0 && (learned.mean() > qemu.mean()+wakeup/20 || learned.quantile(50) > 0) {
			t.Errorf("mean %v, p50 %v, QEMU's %v, %v", learned.mean(), learned.quantile(50), qemu.mean(), qemu.quantile(50))
		}
	})
}

// Polling costs at most a tenth more CPU, unless the median is at least a fifth better.
func TestLearnedRuleCostsNothingUnlessItPays(t *testing.T) {
	// In these, half of the events come within Max, in stretches that are longer than what
	// the rule remembers: there it can only be right about the present.
	slow := []string{"10 to 60 µs and back, 0.2 µs a step", "recorded: echo"}
	rules(t, func(t *testing.T, wakeup time.Duration, off, _, learned *outcome) {
		limit := off.cpu() * 11 / 10
		for _, name := range slow {
			if strings.Contains(t.Name(), strings.ReplaceAll(name, " ", "_")) {
				limit = 2 * off.cpu()
			}
		}
		if learned.quantile(50)*5 > off.quantile(50)*4 && learned.cpu() > limit {
			t.Errorf("p50 %v at %v of CPU; without polling %v at %v", learned.quantile(50), learned.cpu(), off.quantile(50), off.cpu())
		}
	})
}

// An event found may cost Max and the price of a wake-up. It also takes a few
// samples to find out that there is nothing to gain, and to notice changes.
func TestLearnedRuleSpendsNoMoreThanItGains(t *testing.T) {
	rules(t, func(t *testing.T, wakeup time.Duration, _, _, learned *outcome) {
		if limit := time.Duration(learned.found)*(simulatedMax+wakeup) + 10*simulatedMax + learned.all/200; learned.spun > limit {
			t.Errorf("spun for %v and found %d events, which are worth %v", learned.spun, learned.found, limit)
		}
	})
}

func TestLearnedRuleOnConstantGaps(t *testing.T) {
	for _, use := range candidates[2:] {
		for _, wakeup := range wakeups {
			for gap := time.Duration(0); gap <= simulatedMax; gap += µs {
				o := simulate(use, wakeup, every(2000, gap)())
				if o.quantile(99) > 0 {
					t.Errorf("%s, wake-up %v, gap %v: p99 %v", use.name, wakeup, gap, o.quantile(99))
				}
			}
			for _, gap := range []time.Duration{200 * µs, time.Millisecond, 10 * time.Millisecond} {
				if o := simulate(use, wakeup, every(500, gap)()); o.spun > 0 {
					t.Errorf("%s, wake-up %v, gap %v: spun for %v", use.name, wakeup, gap, o.spun)
				}
			}
		}
	}
}

// Traffic that stops costs a few windows and then nothing.
func TestLearnedRuleWhenTrafficStops(t *testing.T) {
	for _, use := range candidates[2:] {
		for _, wakeup := range wakeups {
			o := simulate(use, wakeup, trace("stops: 500 × 20 µs, then 10 ms"))
			if o.spins[stopsAfter-1] == 0 {
				t.Error("it did not spin while there was traffic")
			}
			for i, spun := range o.spins[stopsAfter+6:] {
				if spun > 0 {
					t.Fatalf("%s, wake-up %v: spun for %v at the event %d after the last", use.name, wakeup, spun, i+6)
				}
			}
		}
	}
}

func inµs(d time.Duration) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(d)/float64(µs)), ".0")
}
