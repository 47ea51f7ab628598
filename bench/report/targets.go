package report

import "slices"

// The rows that targets name.
var (
	threadRows = []string{"ppoll", "epoll", "io_uring"}
	fastRows   = []string{"epoll", "io_uring"}
	parkRows   = []string{"epoll park", "io_uring park"}
	niceRows   = []string{"epoll nice", "io_uring nice"}
	ownRows    = append(slices.Clone(threadRows), parkRows...)
)

type settings = map[string][]string

var (
	pinnedYes    = settings{"pinned": {"yes"}}
	oneProc      = settings{"from": {"loop"}, "gomaxprocs": {"1"}, "computing": {"0"}}
	quietPark    = settings{"from": {"loop"}, "computing": {"0"}}
	polled       = settings{"polling": {"on"}, "gap_us": {"0", "5", "20", "30"}}
	polledInVain = settings{"polling": {"on"}, "gap_us": {"200", "1000", "10000"}}
	backToBack   = settings{"polling": {"on"}, "gap_us": {"0"}}
)

// crowded is the documented setting: for each loop a P more than goroutines compute.
func computing(from ...string) settings {
	return settings{"from": from, "gomaxprocs": {"4"}, "computing": {"2"}}
}

// targets are the goals of the project. Where it can be, one is a ratio of two rows
// of the same run.
var targets = slices.Concat(
	[]target{
		{"round trip, over the same interface of the kernel in C", "pingpong", threadRows, pinnedYes, overFloor(), 1.05, inTimes},
		{"round trip, over libev", "pingpong", ownRows, pinnedYes, over("libev (C)"), 1, inTimes},
		{"round trip, over libuv", "pingpong", ownRows, pinnedYes, over("libuv (C)"), 1, inTimes},
		{"round trip, over GLib", "pingpong", ownRows, pinnedYes, over("glib (C)"), 1, inTimes},
		{"round trip, over gnet", "pingpong", ownRows, pinnedYes, over("gnet (Go)"), 1, inTimes},
		{"round trip in park mode, over futexes", "pingpong", parkRows, pinnedYes, over("futex (C)"), 1, inTimes},
		{"round trip in park mode", "pingpong", parkRows, pinnedYes, converted(p50Of), 1000, inNS},
		{"round trip in park mode, any GOMAXPROCS", "busy", parkRows, quietPark, converted(p50Of), 1000, inNS},
		{"round trip at GOMAXPROCS 1, p99", "busy", slices.Concat(fastRows, parkRows), oneProc, wallClock(p99Of), 20e3, inNS},
		{"round trip of two loops while every CPU computes, p99", "busy", niceRows, computing("loop"), wallClock(p99Of), 100e3, inNS},
		{"round trip from a goroutine or a process while every CPU computes, p99", "busy", niceRows, computing("goroutine", "process"), wallClock(p99Of), 100e3, inNS},
		{"round trip of main loops, over GLib", "mainloop", threadRows, pinnedYes, over("glib (C)"), 1, inTimes},
	},
	[]target{
		{"wake-up while polling", "wake", threadRows, polled, converted(p50Of), 1000, inNS},
		{"wake-up while polling, back to back, over spinning in C", "wake", threadRows, backToBack, over("spin (C)"), 2, inTimes},
		{"polling in vain: CPU time, over polling switched off", "wake", threadRows, polledInVain, overSetting("polling", "off", cpuOf), 1.1, inTimes},
		{"polling in vain: p50, over polling switched off", "wake", threadRows, polledInVain, overSetting("polling", "off", p50Of), 1.05, inTimes},
	},
	[]target{
		{"a bottom half, scheduled and run", "self-bh", threadRows, nil, converted(p50Of), 60, inNS},
		{"a bottom half, scheduled and run, over ev_async of libev", "self-bh", threadRows, nil, over("libev (C)"), 1, inTimes},
		{"a bottom half, scheduled and run, over uv_async of libuv", "self-bh", threadRows, nil, over("libuv (C)"), 1, inTimes},
		{"a bottom half, scheduled and run, over GLib", "self-bh", threadRows, nil, over("glib (C)"), 1, inTimes},
		{"a notifier, set and handled, over write and epoll_wait in C", "self-notifier", []string{"epoll"}, nil, overFloor(), 480.0 / 406, inTimes},
		{"a notifier, set and handled, over write and io_uring_enter in C", "self-notifier", []string{"io_uring"}, nil, overFloor(), 400.0 / 331, inTimes},
		{"a notifier, set and handled, over libev", "self-notifier", threadRows, nil, over("libev (C)"), 1, inTimes},
		{"a notifier, set and handled, over libuv", "self-notifier", threadRows, nil, over("libuv (C)"), 1, inTimes},
		{"a notifier, set and handled, over GLib", "self-notifier", threadRows, nil, over("glib (C)"), 1, inTimes},
		{"a notifier beside idle descriptors, over 1 idle descriptor", "idle-fds", fastRows, nil, overSetting("idle_fds", "1", p50Of), 1.05, inTimes},
		{"a notifier beside 64 idle descriptors", "idle-fds", []string{"ppoll"}, settings{"idle_fds": {"64"}}, converted(p50Of), 6450 / 2, inNS},
		{"a notifier beside 1,024 idle descriptors", "idle-fds", []string{"ppoll"}, settings{"idle_fds": {"1024"}}, converted(p50Of), 103_500 / 2, inNS},
		{"a timer, re-armed and run", "self-timer", threadRows, nil, converted(p50Of), 100, inNS},
		{"a timer, re-armed and run, over libev", "self-timer", threadRows, nil, over("libev (C)"), 1, inTimes},
		{"a timer, re-armed and run, over libuv", "self-timer", threadRows, nil, over("libuv (C)"), 1, inTimes},
		{"a timer, re-armed and run, over GLib", "self-timer", threadRows, nil, over("glib (C)"), 1, inTimes},
		{"one of 100,000 timers, re-armed", "timers", threadRows, settings{"do": {"rearm"}, "timers": {"100000"}}, converted(p50Of), 400, inNS},
	},
	noAllocations("self-bh", "self-notifier", "self-timer", "idle-fds", "timers"),
	[]target{
		{"memory for a registered descriptor", "idle-fds", ownRows, nil, figureOf("bytes/fd", ""), 256, inBytes},
		{"memory for a Context in park mode", "contexts", parkRows, settings{"contexts": {"100", "1000"}}, figureOf("bytes/context", ""), 10 << 10, inBytes},
		{"threads of all Contexts in park mode", "contexts", parkRows, nil, figureOf("threads/context", "contexts"), 12, plain},
	},
)

func noAllocations(scenarios ...string) (list []target) {
	for _, name := range scenarios {
		list = append(list, target{"allocations for an operation, " + name, name, ownRows, nil, allocations, 0, plain})
	}
	return list
}
