package report

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTargetsAreAboutSomething: a target with a misspelt name would never be measured.
func TestTargetsAreAboutSomething(t *testing.T) {
	for _, target := range targets {
		sc := scenarioByName(target.scenario)
		if scenarioIndex(target.scenario) == len(scenarios) {
			t.Errorf("%s: no scenario %q", target.claim, target.scenario)
		}
		for _, row := range target.rows {
			if !slices.Contains(rowNames, row) || !isLibrary(row) {
				t.Errorf("%s: no row %q of the library", target.claim, row)
			}
		}
		for key := range target.where {
			if !slices.Contains(sc.keys, key) {
				t.Errorf("%s: scenario %s has no parameter %q", target.claim, sc.name, key)
			}
		}
	}
	for name, list := range typical {
		for _, params := range list {
			for key := range params {
				if !slices.Contains(scenarioByName(name).keys, key) {
					t.Errorf("typical: scenario %s has no parameter %q", name, key)
				}
			}
		}
	}
}

// verdictOf judges one target over results.
func verdictOf(target target, results ...Result) verdict {
	r := &Report{Results: results}
	return target.judge(target.rows[0], r.sections())
}

func timed(scenario, row string, p50 time.Duration, params ...string) Result {
	res := Result{Scenario: scenario, Backend: row, N: 1, P50: p50, P99: 10 * p50, CPUNSPerOp: float64(p50), Params: map[string]string{}}
	for i := 0; i+1 < len(params); i += 2 {
		res.Params[params[i]] = params[i+1]
	}
	return res
}

func TestWorstSettingCounts(t *testing.T) {
	goal := target{scenario: "wake", rows: []string{"epoll"}, where: settings{"polling": {"on"}, "gap_us": {"0", "20"}}, measure: wallClock(p50Of), limit: 100, unit: inNS}
	v := verdictOf(goal,
		timed("wake", "epoll", 90, "polling", "on", "gap_us", "0"), timed("wake", "epoll", 120, "polling", "on", "gap_us", "20"),
		timed("wake", "epoll", 500, "polling", "off", "gap_us", "20"), timed("wake", "epoll", 500, "polling", "on", "gap_us", "30"), timed("wake", "ppoll", 900, "polling", "on", "gap_us", "0"))
	if v.reached() || v.value != 120 || v.where != "polling on, gap_us 20" {
		t.Errorf("%+v", v)
	}
	if v = verdictOf(goal, timed("wake", "epoll", 100, "polling", "on", "gap_us", "0")); !v.reached() {
		t.Errorf("the limit itself is not enough: %+v", v)
	}
	if v = verdictOf(goal, timed("wake", "ppoll", 1, "polling", "on", "gap_us", "0")); v.measured || v.reached() {
		t.Errorf("reached by another row: %+v", v)
	}
}

// TestConversion: a machine half as fast is not to blame for twice the time.
func TestConversion(t *testing.T) {
	goal := target{scenario: "self-bh", rows: []string{"epoll"}, measure: converted(p50Of), limit: 60, unit: inNS}
	futex := timed("pingpong", "futex (C)", 2*yardstick, "pinned", "yes")
	v := verdictOf(goal, timed("self-bh", "epoll", 110), futex)
	if !v.reached() || v.value != 55 || v.written() != "55 ns (measured: 110 ns)" {
		t.Errorf("%+v: %s", v, v.written())
	}
	if v = verdictOf(goal, timed("self-bh", "epoll", 110)); v.reached() || v.written() != "110 ns" {
		t.Errorf("without a futex row: %+v", v)
	}
}

func TestMeasures(t *testing.T) {
	idle := func(row, n string, p50 time.Duration) Result { return timed("idle-fds", row, p50, "idle_fds", n) }
	withFigure := timed("contexts", "epoll park", 5, "contexts", "100")
	withFigure.Figures = map[string]float64{"threads/context": 0.05}
	allocating := timed("self-bh", "epoll", 5)
	allocating.AllocsPerOp = 1
	rarely := allocating
	rarely.AllocsPerOp = 0.004
	for _, c := range []struct {
		name    string
		measure measure
		row     string
		results []Result
		want    float64
	}{
		{"another setting", overSetting("idle_fds", "1", p50Of), "epoll", []Result{idle("epoll", "1", 100), idle("epoll", "64", 150), idle("ppoll", "64", 900)}, 1.5},
		{"a figure for each", figureOf("threads/context", "contexts"), "epoll park", []Result{withFigure}, 5},
		{"a figure", figureOf("threads/context", ""), "epoll park", []Result{withFigure}, 0.05},
		{"allocations", allocations, "epoll", []Result{allocating}, 1},
		{"allocations of the runtime", allocations, "epoll", []Result{rarely}, 0},
		{"another row", over("glib (C)"), "epoll", []Result{timed("self-bh", "epoll", 5), timed("self-bh", "glib (C)", 10)}, 0.5},
		{"the floor of a variant", overFloor(), "epoll park", []Result{timed("self-bh", "epoll park", 5), timed("self-bh", "epoll-et (C)", 4)}, 1.25},
	} {
		v := verdictOf(target{scenario: c.results[0].Scenario, rows: []string{c.row}, measure: c.measure, limit: 1, unit: plain}, c.results...)
		if !v.measured || v.value != c.want {
			t.Errorf("%s: %+v, want %v", c.name, v.reading, c.want)
		}
	}
}

func TestScore(t *testing.T) {
	met := verdict{target: target{limit: 1, unit: plain}, measured: true, reading: reading{value: 1}}
	missed := verdict{target: target{limit: 1, unit: plain}, measured: true, reading: reading{value: 2}}
	if got := score([]verdict{met, met, missed}); got != "Of 3 targets, 2 are reached and 1 missed." {
		t.Error(got)
	}
	if got := score([]verdict{met, {}}); !strings.Contains(got, "1 could not be measured") {
		t.Error(got)
	}
}
