package aio

import (
	"errors"
	"fmt"
	"time"
)

// realWorld runs the programs of model_test.go on a Context.
type realWorld struct {
	scripts scripts
	journal journal
	c       *Context
	bhs     [modelObjects]*BottomHalf
	timers  [modelObjects]*Timer
	fds     [modelObjects]*EventNotifier
	open    [modelObjects]*Handler
	version [modelObjects]int
	hours   int
}

func newRealWorld(b Backend, mode Mode, all scripts) (*realWorld, error) {
	c, err := New(WithBackend(b), WithMode(mode))
	if err != nil {
		return nil, err
	}
	w := &realWorld{scripts: all, c: c}
	for i := range modelObjects {
		bh, timer := fmt.Sprint("bh ", i), fmt.Sprint("timer ", i)
		w.bhs[i] = c.NewBottomHalf(func() { callback(w, all, bh, bh) })
		w.timers[i] = c.NewTimer(Virtual, func() { callback(w, all, timer, timer) })
		if w.fds[i], err = NewEventNotifier(); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *realWorld) close() {
	var leaks *LeakError
	if err := w.c.Close(); err != nil && !errors.As(err, &leaks) {
		panic(err)
	}
	for _, n := range w.fds {
		_ = n.Close()
	}
}

func (w *realWorld) log() *journal { return &w.journal }

func (w *realWorld) do(s step) {
	i := s.i
	switch s.op {
	case "schedule":
		w.check(w.bhs[i].Schedule(), ErrClosed)
	case "once":
		name := fmt.Sprint("once ", i)
		w.check(w.c.ScheduleOnce(func() { callback(w, w.scripts, name, name) }))
	case "cancel":
		w.bhs[i].Cancel()
	case "close half":
		if s.arg == 0 {
			w.bhs[i].Close()
		} else {
			w.bhs[i].Cancel()
		}
	case "set":
		w.check(w.fds[i].Set())
	case "clear":
		_, err := w.fds[i].TestAndClear()
		w.check(err)
	case "watch", "change", "close":
		w.doHandler(s)
	case "notify":
		w.c.Notify()
	case "set timer":
		w.check(w.timers[i].Set(modelDeadline(w.hours + s.arg - 2)))
	case "set timer earlier":
		w.check(w.timers[i].SetEarlier(modelDeadline(w.hours + s.arg - 2)))
	case "stop timer":
		w.timers[i].Stop()
	case "advance":
		w.hours += s.arg % 3
		w.c.VirtualClock().Advance(time.Duration(s.arg%3) * time.Hour)
	case "stop":
		w.c.VirtualClock().Stop()
	case "start":
		w.c.VirtualClock().Start()
	case "poll":
		w.poll()
	}
}

func (w *realWorld) poll() {
	if w.c.home.who.Depth == modelDepth {
		return
	}
	progress, err := w.c.TryPoll()
	w.check(err)
	w.journal.add(fmt.Sprint("progress ", progress))
}

func (w *realWorld) doHandler(s step) {
	i := s.i
	switch {
	case s.op == "watch" && w.open[i] == nil:
		h, err := w.c.Watch(w.fds[i].FD(), w.callbacks(i))
		w.check(err)
		w.open[i] = h
	case s.op == "change" && w.open[i] != nil:
		w.version[i]++
		w.check(w.open[i].Change(w.callbacks(i)))
	case s.op == "close" && w.open[i] != nil:
		w.check(w.open[i].Close())
		w.open[i] = nil
	}
}

func (w *realWorld) callbacks(i int) Callbacks {
	name := fmt.Sprint("fd ", i)
	version := w.version[i]
	return Callbacks{Read: func(*Handler) {
		set, err := w.fds[i].TestAndClear()
		w.check(err)
		callback(w, w.scripts, name, handlerLabel(i, version, set))
	}}
}

// check writes an error that was not expected into the journal, where the model
// does not have it.
func (w *realWorld) check(err error, allowed ...error) {
	for _, a := range allowed {
		if errors.Is(err, a) {
			return
		}
	}
	if err != nil {
		w.journal.add(err.Error())
	}
}
