package report

import (
	"slices"
	"strings"
)

// scenario is what this package knows about a scenario by its name. All of it
// is presentation: results of an unknown scenario are shown too, without words
// and without a sweep.
type scenario struct {
	name  string
	about string
	// keys is the order in which parameters are shown and sorted. Others
	// follow in alphabetical order.
	keys []string
	// sweep is the parameter on the horizontal axis of the sweep plot.
	sweep      string
	sweepLabel string
}

var scenarios = []scenario{
	{
		name:       "wake",
		about:      "A producer on another CPU keeps busy for a gap, then notifies the loop. Time from the notification to the callback.",
		keys:       []string{"polling", "pinned", "gap_us"},
		sweep:      "gap_us",
		sweepLabel: "gap between events (µs)",
	},
	{
		name:  "pingpong",
		about: "Two loops wake each other in turn and do nothing else. Time of a round trip: two notifications, two callbacks.",
		keys:  []string{"pinned"},
	},
	{
		name:  "mainloop",
		about: "Two main loops wake each other in turn. Time of a round trip: two notifications, and two whole turns of prepare, query, ppoll, check and dispatch.",
		keys:  []string{"pinned"},
	},
	{
		name:  "self-bh",
		about: "One thread schedules a bottom half and polls without blocking. Time until its callback has run.",
	},
	{
		name:  "self-notifier",
		about: "One thread sets an event notifier and polls. Time until its handler has run.",
	},
	{
		name:  "self-timer",
		about: "One thread re-arms a timer that is due and polls. Time until its callback has run.",
	},
	{
		name:       "idle-fds",
		about:      "One busy file descriptor among many on which nothing happens. Time from making it ready to the end of its handler.",
		keys:       []string{"idle_fds"},
		sweep:      "idle_fds",
		sweepLabel: "idle file descriptors",
	},
	{
		name:       "producers",
		about:      "Several goroutines schedule bottom halves on one loop at the same time. Time from scheduling to the callback.",
		keys:       []string{"pinned", "producers"},
		sweep:      "producers",
		sweepLabel: "producers (goroutines)",
	},
	{
		name:       "timers",
		about:      "One of many timers is moved (rearm), or becomes due and its callback runs (fire). Time of one operation.",
		keys:       []string{"do", "timers"},
		sweep:      "timers",
		sweepLabel: "timers",
	},
	{
		name:       "contexts",
		about:      "Many Contexts sleep, each on a goroutine of its own, and are woken one after the other. Time from waking one to its answer.",
		keys:       []string{"contexts"},
		sweep:      "contexts",
		sweepLabel: "Contexts",
	},
	{
		name:  "busy",
		about: "Another loop, a goroutine or another process wakes a loop and is answered, while goroutines compute without a break, or the garbage collector works. Time of a round trip.",
		keys:  []string{"from", "gomaxprocs", "computing"},
	},
}

// rowNames is the order of the rows everywhere: the backends first, then what
// they are compared with: Go, event loops, the kernel's bare interfaces. Who is
// fastest has no influence on it.
var rowNames = []string{
	"ppoll", "epoll", "io_uring",
	"ppoll park", "epoll park", "io_uring park",
	"ppoll nice", "epoll nice", "io_uring nice",
	"goroutine+channel", "netpoller", "gnet (Go)",
	"libev (C)", "libuv (C)", "glib (C)",
	"futex (C)", "spin (C)", "ppoll+read (C)", "epoll-et (C)", "epoll+read (C)", "io_uring (C)", "io_uring-oneshot (C)",
}

// floors are the rows that do what a backend does with nothing around the kernel's
// interface.
var floors = map[string]string{"ppoll": "ppoll+read (C)", "epoll": "epoll-et (C)", "io_uring": "io_uring (C)"}

// floorOf is the floor of a row, which may be a variant of a backend ("epoll park"),
// or empty.
func floorOf(row string) string {
	backend, _, _ := strings.Cut(row, " ")
	if strings.HasSuffix(row, ")") {
		return "" // a program of its own
	}
	return floors[backend]
}

func scenarioByName(name string) scenario {
	if i := scenarioIndex(name); i < len(scenarios) {
		return scenarios[i]
	}
	return scenario{name: name}
}

// scenarioIndex is the rank of a scenario in the report. Unknown ones rank
// behind all others.
func scenarioIndex(name string) int {
	i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
	if i < 0 {
		return len(scenarios)
	}
	return i
}

// rowIndex is the rank of a row, like scenarioIndex.
func rowIndex(name string) int {
	if i := slices.Index(rowNames, name); i >= 0 {
		return i
	}
	return len(rowNames)
}
