package report

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aioloop/aioloop/internal/testkit/guest"
)

// testDescription is in the manner of the one that the benchmark makes.
func testDescription() Description {
	d := Description{
		Title: "aioloop benchmark",
		Lead:  "One run.",
		About: "The <rows>.",
		Scenarios: []Scenario{
			{Name: "wake", About: "From a notification to the callback.", Params: []string{"polling", "gap_us"}, Sweep: "gap_us", SweepLabel: "gap between events (µs)", Typical: []map[string]string{{"polling": "off", "gap_us": "20"}}},
			{Name: "pingpong", About: "A round trip.", Params: []string{"pinned"}, Typical: []map[string]string{{"pinned": "yes"}}},
			{Name: "mainloop", About: "The same with main loops."},
			{Name: "self-bh"},
			{Name: "self-notifier"},
			{Name: "self-timer"},
			{Name: "idle-fds", Sweep: "idle_fds", SweepLabel: "idle file descriptors"},
			{Name: "producers", About: "Several at the same time.", Params: []string{"producers"}, Sweep: "producers", SweepLabel: "producers"},
			{Name: "timers", Params: []string{"do", "timers"}, Sweep: "timers", SweepLabel: "timers"},
			{Name: "contexts", Sweep: "contexts", SweepLabel: "Contexts"},
			{Name: "busy"},
		},
	}
	d.Words = map[string]string{"gap_us": "%s µs apart", "polling=on": "polling for at most 32 µs before it sleeps", "idle_fds": "%s idle ones"}
	d.Chart = Chart{
		Title: "The question", Rows: []string{"ppoll", "epoll", "io_uring", "goroutine+channel", "goroutine+channel blocking", "netpoller"},
		Bands: []Band{
			{"Asleep: on another CPU, 20 µs between events", "wake", map[string]string{"polling": "off", "gap_us": "20"}},
			{"Polling: the same", "wake", map[string]string{"polling": "on", "gap_us": "20"}},
		},
	}
	d.Rows = []Row{
		{Name: "ppoll", Kind: Own, Floor: "ppoll+read (C)"},
		{Name: "epoll", Kind: Own, Floor: "epoll-et (C)"},
		{Name: "io_uring", Kind: Own, Floor: "io_uring (C)"},
		{Name: "io_uring park", Kind: Own, Floor: "io_uring (C)", Colour: "io_uring"},
		{Name: "goroutine+channel"},
		{Name: "netpoller"},
		{Name: "libev (C)", Reference: "libev", Process: true},
		{Name: "glib (C)", Reference: "GLib", Process: true},
		{Name: "futex (C)", Kind: Floor, Reference: "futex", Process: true},
		{Name: "ppoll+read (C)", Kind: Floor, Process: true},
		{Name: "epoll-et (C)", Kind: Floor, Colour: "epoll", Process: true},
		{Name: "io_uring (C)", Kind: Floor, Process: true},
	}
	return d
}

// described gives a report the description of the tests.
func described(results ...Result) *Report {
	return &Report{Description: testDescription(), Results: results}
}

// TestKnowsNothingOfLoops: scenarios, rows and what they mean are the caller's.
func TestKnowsNothingOfLoops(t *testing.T) {
	if guest.Is() {
		t.Skip("reads the source tree")
	}
	words := regexp.MustCompile(`(?i)\b(p?poll|epoll|io_?uring|notifiers?|bottom[ -]hal(f|ves)|(event)?loops?|goroutine\+channel|glib|libev|libuv|gnet)\b`)
	var files []string
	for _, pattern := range []string{"*", "../page/*", "../plot/*"} {
		list, err := filepath.Glob(pattern)
		if err != nil || len(list) == 0 {
			t.Fatal(list, err)
		}
		files = append(files, list...)
	}
	for _, name := range files {
		if info, err := os.Stat(name); err != nil || info.IsDir() || strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			if word := words.FindString(line); word != "" {
				t.Errorf("%s:%d names %q", name, i+1, word)
			}
		}
	}
}

func TestRowsOfADescription(t *testing.T) {
	d := testDescription()
	if r := d.Row("libev (C)"); r.Reference != "libev" || !r.Process {
		t.Errorf("%+v", r)
	}
	if r := d.Row("another"); r.Name != "another" || r.Kind != Peer {
		t.Errorf("a row without a description is %+v", r)
	}
	if s := d.scenario("another"); s.Name != "another" || s.Sweep != "" {
		t.Errorf("a scenario without a description is %+v", s)
	}
}

// TestSettingsInWords: exact values come before the word of their key.
func TestSettingsInWords(t *testing.T) {
	d := Description{Words: map[string]string{"gap=0": "without a gap", "gap": "%s µs apart"}}
	for value, want := range map[string]string{"0": "without a gap", "20": "20 µs apart", "100000": "100,000 µs apart", "x\x00": "x\uFFFD µs apart"} {
		if got := d.setting("gap", value); got != want {
			t.Errorf("%q is %q, want %q", value, got, want)
		}
	}
	if got := d.label([]string{"a", "gap", "b"}, map[string]string{"a": "1", "gap": "0"}); got != "a 1, without a gap" {
		t.Errorf("%q", got)
	}
}
