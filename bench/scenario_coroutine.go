package bench

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/bench/report"
)

var coroutineScenario = Scenario{
	Scenario: report.Scenario{
		Name: "coroutine",
		About: "What a coroutine costs on a loop: Wake and Yield, there and back; Go and return; a Mutex that two coroutines hand over, there and back; " +
			"the wait for a bottom half, and for reads of 4 KiB from the page cache. Beside it stand iter.Pull alone, two channels, and the same work in callbacks. " +
			"QEMU 10.2.2, on a different machine and not in this run: 54 ns to enter and yield, 71 ns to create and finish.",
		Params: []string{"do", "by", "depth", meanOf},
		Floors: coroutineFloors(),
		Typical: []map[string]string{
			{"do": enterYield},
			{"do": bottomHalf, "by": byWait},
			{"do": cachedRead, "by": byWait, "depth": "16"},
		},
	},
	Short:  "switch to a coroutine and back, create one, hand a mutex over, wait for a bottom half or a read",
	Varied: "what it does; by Wait, and by Wake; 1, 16 coroutines that read",
	groups: coroutineGroups,
}

// Values of parameters.
const (
	enterYield   = "enter"
	createFinish = "create"
	handOver     = "mutex"
	bottomHalf   = "bottom-half"
	cachedRead   = "read-cached"

	byWait = "wait"
	byWake = "wake"
)

// The rows that coroutines are compared with.
const (
	// IterPull is iter.Pull with nothing around it, which coroutines are made of.
	IterPull = "iter.Pull"
	// IterPullLocked is the same on a goroutine that is locked to its thread.
	IterPullLocked = "iter.Pull locked"
	// ChannelLocked is GoroutineChannel where one of the two goroutines is locked to its thread,
	// as that of a loop is.
	ChannelLocked = "goroutine+channel locked"
	// callbackOn begins the name of a row that does in a callback what the row behind it does in
	// a coroutine.
	callbackOn = "callback on "
)

const (
	anyBackendNote = "epoll: the loop keeps its thread; epoll park: it does not. Other backends make no difference"
	channelsNote   = "two channels: one goroutine sends and receives the answer of the other; to create and finish is a go statement and the receive at its end"
	lockedNote     = "locked: the goroutine is locked to its thread, which is pinned; the other goroutine is wherever Go's scheduler has it"
	byWaitNote     = "by Wait: the callback ends a Co.Wait, whose function is made for each of them"
	byWakeNote     = "by Wake: the callback calls Co.Wake, and was set before; the coroutine waits in Yield. Nothing is allocated"
	pullNote       = "iter.Pull: next of an iterator that yields forever; to create and finish is Pull, next and the end of the iterator"
	callbackNote   = "callback on …: the callback itself begins the next one; how a coroutine waits makes no difference to it"
	readNote       = "blocks of 4 KiB at random places of 1 MiB that is in the page cache; the engine of the File is auto"
)

// waitRows are the backends in the two modes that all scenarios have.
func waitRows() []string {
	return slices.DeleteFunc(Backends(), func(row string) bool {
		r, _ := loopRowOf(row)
		return r.scenarios != nil
	})
}

// coroutineRows are the rows that only this scenario has.
func coroutineRows() []string {
	names := []string{IterPull, IterPullLocked, ChannelLocked}
	for _, row := range waitRows() {
		names = append(names, callbackOn+row)
	}
	return names
}

// describeCoroutineRow describes one of them.
func describeCoroutineRow(name string) (row report.Row, ok bool) {
	if !slices.Contains(coroutineRows(), name) {
		return report.Row{}, false
	}
	row = report.Row{Name: name, Kind: report.Floor, Colour: GoroutineChannel}
	if r, ok := anyLoopRow(name); ok {
		row.Colour = r.backend.String()
	}
	if name == ChannelLocked {
		row.Kind, row.Reference = report.Peer, "locked channel"
	}
	return row, true
}

func coroutineFloors() map[string][]string {
	floors := map[string][]string{}
	for _, row := range waitRows() {
		alone := IterPull
		if isLocked(row) {
			alone = IterPullLocked
		}
		floors[row] = []string{alone, callbackOn + row}
	}
	return floors
}

// setupFunc makes a row ready to run, on the driver's goroutine.
type setupFunc func(*fixture) (runFunc, error)

func coroutineGroups() []group {
	groups := []group{
		switchGroup(enterYield, enterAndYield, twoChannels, pull),
		switchGroup(createFinish, createAndFinish, newGoroutines, pullOnce),
		switchGroup(handOver, handMutexOver, twoChannels, nil),
		waitGroup(bottomHalf, nil, func(_ *fixture, loop *aio.Context) ([]*event, error) { return newHalf(loop), nil }),
	}
	for _, depth := range []int{1, 16} {
		w := &fileWork{scenario: fileRead, cache: cacheHot, access: atRandom, depth: depth}
		g := waitGroup(cachedRead, []param{{"depth", fmt.Sprint(depth)}}, w.newReads, readNote)
		g.needs, g.named = w.possible, true
		groups = append(groups, g)
	}
	return groups
}

// switchGroup is for what the backend has no part in: one loop that keeps its thread and one that
// does not suffice. What alone does may be nothing.
func switchGroup(do string, onLoop func(*aio.Context) runFunc, channels, alone setupFunc) group {
	g := group{scenario: "coroutine", label: "do=" + do, took: 200 * time.Millisecond}
	add := func(row string, setup setupFunc, note string) {
		g.cases = append(g.cases, onOneThread(row, []param{{"do", do}}, setup, note))
	}
	for _, row := range []string{"epoll", "epoll park"} {
		add(row, func(s *fixture) (runFunc, error) {
			loop, err := s.homeLoop(row)
			if err != nil {
				return nil, err
			}
			return onLoop(loop), nil
		}, anyBackendNote)
	}
	add(GoroutineChannel, channels, channelsNote)
	add(ChannelLocked, channels, lockedNote)
	if alone != nil {
		add(IterPull, alone, pullNote)
		add(IterPullLocked, alone, pullNote)
	}
	return g
}

// onOneThread is a row whose driver is pinned. One that is not locked to a thread has all threads
// of the process beside it.
func onOneThread(row string, params []param, setup setupFunc, notes ...string) testCase {
	c := testCase{row: row, params: params, driver: atHome, batch: selfBatch, setup: setup, notes: notes}
	if !isLocked(strings.TrimPrefix(row, callbackOn)) && !strings.HasSuffix(row, " locked") {
		c.driver, c.notes = anywhere, append(c.notes, unlockedNote)
		c.setup = func(s *fixture) (runFunc, error) { s.confine(); return setup(s) }
	}
	return c
}

// waitGroup is for events that a loop has to make: each backend has a coroutine that waits in
// either way, and a callback, to which the way makes no difference.
func waitGroup(do string, more []param, events func(*fixture, *aio.Context) ([]*event, error), notes ...string) group {
	params := func(by string) []param { return append([]param{{"do", do}, {"by", by}}, more...) }
	g := group{scenario: "coroutine", label: (&testCase{params: append([]param{{"do", do}}, more...)}).label(), took: 200 * time.Millisecond}
	add := func(row, name, by string, form form, note string) *testCase {
		g.cases = append(g.cases, onOneThread(name, params(by), func(s *fixture) (runFunc, error) {
			return waitSetup(s, row, events, form)
		}, append([]string{note}, notes...)...))
		return &g.cases[len(g.cases)-1]
	}
	for _, row := range waitRows() {
		add(row, row, byWait, (*waitRun).byWait, byWaitNote)
		add(row, row, byWake, (*waitRun).byWake, byWakeNote)
		add(row, callbackOn+row, byWait, (*waitRun).inCallbacks, callbackNote).again = [][]param{params(byWake)}
	}
	return g
}
