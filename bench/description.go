package bench

import (
	"slices"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/bench/report"
)

// Description says how a report shows the scenarios and the rows.
func Description() report.Description {
	d := report.Description{
		Title: "aioloop benchmark: how long from notify to dispatch?",
		Lead: "One benchmark run: every backend of aioloop, side by side with what a Go program would use without it, " +
			"with other event loops, and with the kernel’s bare interfaces.",
		About: "goroutine+channel and netpoller are what a Go program would use without this library. " +
			"Rows with (C) or (Go) are programs of their own, measured in turns with the others: event loops, " +
			"and the kernel’s interfaces with nothing around them, which are the floor. " +
			"Every scenario but open-loop is a closed loop: the next event is made when the last one was handled, so a stall counts once " +
			"in the percentiles, however many events it would have delayed. In open-loop, events come at fixed times and a stall counts for each of them. " +
			"A dash stands for what was not measured, and for a p99 of fewer than 100 samples or a p99.9 of fewer than 1,000.",
	}
	d.Words, d.Chart = words, chart
	for _, s := range Scenarios() {
		d.Scenarios = append(d.Scenarios, s.Scenario)
	}
	for _, name := range Rows() {
		d.Rows = append(d.Rows, describeRow(name))
	}
	return d
}

func describeRow(name string) report.Row {
	if r, ok := loopRowOf(name); ok {
		return report.Row{Name: name, Kind: report.Own, Floor: floorOf(r.backend), Colour: r.backend.String()}
	}
	if r, ok := describeFileRow(name); ok {
		return r
	}
	if r, ok := describeCoroutineRow(name); ok {
		return r
	}
	if p, ok := peerOf(name); ok {
		return report.Row{Name: name, Kind: p.kind, Reference: p.reference, Process: true, Colour: p.colour}
	}
	if name == GoroutineBlocking { // on the thread of its sender: it shows what no wake-up at all costs
		return report.Row{Name: name, Kind: report.Floor, Reference: "blocking channel", Colour: GoroutineChannel}
	}
	return report.Row{Name: name, Kind: report.Peer}
}

// floorOf returns the row that uses the same interface of the kernel with nothing around
// it.
func floorOf(b aio.Backend) string {
	i := slices.IndexFunc(peerRows, func(p peerRow) bool { return p.floorOf == b })
	if i < 0 {
		return ""
	}
	return peerRows[i].name
}

// words are the settings of all scenarios as people say them.
var words = map[string]string{
	"period_us":    "one event every %s µs",
	"mean_of":      "means of %s operations",
	"after_us":     "in %s µs",
	"gap_us=0":     "without a gap",
	"gap_us":       "%s µs apart",
	"polling":      "polling %s",
	"polling=qemu": "polling by QEMU’s rule",
	"pinned=yes":   "all on one CPU",
	"pinned=no":    "on any CPU",
	"idle_fds=1":   "1 idle descriptor",
	"idle_fds":     "%s idle descriptors",
	"producers=1":  "1 producer",
	"producers":    "%s producers",
	"do=rearm":     "move a timer",
	"do=fire":      "a timer fires",
	"timers=1":     "the only one",
	"timers":       "of %s",
	"contexts=1":   "1 Context",
	"contexts":     "%s Contexts",
	"from":         "woken by a %s",
	"gomaxprocs":   "GOMAXPROCS %s",
	"computing=0":  "nothing computes",
	"computing=gc": "the garbage collector works",
	"computing":    "%s compute",

	"do=enter":       "enter and yield",
	"do=create":      "create and finish",
	"do=mutex":       "mutex hand-over",
	"do=bottom-half": "bottom half",
	"do=read-cached": "read of a cached file",
	"by=wait":        "by Wait",
	"by=wake":        "by Wake",

	"cache=hot":         "1 MiB in the page cache",
	"cache=cached":      "64 MiB in the page cache",
	"cache=uncached":    "not in the page cache",
	"access=random":     "4 KiB at random places",
	"access=sequential": "256 KiB in order",
	"depth=1":           "one at a time",
	"depth":             "%s at a time",
	"do=read":           "read",
	"do=write":          "write",
}

// chart shows the question on the cover: the backends beside what a Go program would use.
var chart = report.Chart{
	Title: "From event to callback",
	Rows:  []string{"ppoll", "epoll", "io_uring", "epoll park", "io_uring park", "epoll exact", GoroutineChannel, GoroutineBlocking, Netpoller},
	Bands: []report.Band{
		{Label: "Asleep: the notifier is on another CPU (only a sender that blocks is not), 20 µs between events, no polling", Scenario: "wake", Params: map[string]string{"polling": "off", "gap_us": "20"}},
		{Label: "Polling: the same with 32 µs of adaptive polling", Scenario: "wake", Params: map[string]string{"polling": "on", "gap_us": "20"}},
		{Label: "In the same process, on one CPU: a round trip of two loops, two notifications", Scenario: "pingpong", Params: map[string]string{"pinned": "yes"}},
		{Label: "A timer, set for 50 µs from now, no polling: how late its callback is (exact: with a TimerSlack of 1 ns; netpoller: a timerfd)", Scenario: "lateness", Params: map[string]string{"polling": "off", "after_us": "50"}},
	},
}
