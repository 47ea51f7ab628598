package aio

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/aioloop/aioloop/backend/epoll"
	"github.com/aioloop/aioloop/backend/ppoll"
)

// procs sets GOMAXPROCS for the test.
func procs(t testing.TB, n int) {
	before := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

func TestModeIsAFlag(t *testing.T) {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var m Mode
	flags.Var(&m, "mode", "where to sleep")
	for _, want := range []Mode{ModeThread, ModePark, ModeAuto} {
		must(t, flags.Parse([]string{"-mode", want.String()}))
		if text, err := m.MarshalText(); m != want || err != nil || string(text) != want.String() {
			t.Errorf("%v, %q, %v; want %v", m, text, err, want)
		}
	}
	err := flags.Parse([]string{"-mode", "couch"})
	if err == nil || !strings.Contains(err.Error(), "choose one of auto, thread, park") {
		t.Errorf("%v", err)
	}
	if _, err := Mode(99).MarshalText(); err == nil || Mode(99).String() != "Mode(99)" {
		t.Error("an unknown mode has a name")
	}
	if _, err := New(WithMode(Mode(99))); err == nil {
		t.Error("an unknown mode was taken")
	}
}

// Trap 28: where there is one P, a loop does not keep it while it sleeps.
func TestTrap28_ModeFollowsGOMAXPROCS(t *testing.T) {
	for _, c := range []struct {
		procs int
		opts  []Option
		want  Mode
	}{
		{1, []Option{WithBackend(Epoll)}, ModePark},
		{1, []Option{WithBackend(Epoll), WithMode(ModeThread)}, ModeThread},
		{1, []Option{WithBackend(Epoll), WithThread(Thread{TimerSlack: 1})}, ModeThread},
		{1, []Option{WithBackend(Ppoll)}, ModeThread},
		{1, []Option{WithPoller(ppoll.New())}, ModeThread},
		{1, []Option{WithPoller(newBound(t))}, ModeThread},
		{2, []Option{WithBackend(Epoll)}, ModeThread},
		{2, []Option{WithBackend(Epoll), WithMode(ModePark)}, ModePark},
	} {
		t.Run(fmt.Sprint("want=", c.want), func(t *testing.T) {
			procs(t, c.procs)
			loop, err := New(c.opts...)
			must(t, err)
			defer closeLoop(t, loop)
			if loop.Mode() != c.want {
				t.Errorf("GOMAXPROCS is %d: %v mode", c.procs, loop.Mode())
			}
		})
	}
}

// In park mode Auto chooses what can be parked on.
func TestAutoChoosesForTheMode(t *testing.T) {
	c, err := New(WithMode(ModePark))
	must(t, err)
	defer closeLoop(t, c)
	if info := c.Backend(); info.Name != "epoll" {
		t.Errorf("%v", info)
	}
}

func TestModeThatCannotBe(t *testing.T) {
	for name, opts := range map[string][]Option{
		"ppoll":                     {WithBackend(Ppoll), WithMode(ModePark)},
		"a Poller without a PollFD": {WithPoller(ppoll.New()), WithMode(ModePark)},
	} {
		_, err := New(opts...)
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "choose epoll or io_uring, or thread mode") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(WithPoller(newBound(t)), WithMode(ModePark)); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "belongs to a thread") {
		t.Errorf("a Binder: %v", err)
	}
	t.Setenv(BackendEnv, "ppoll")
	if _, err := New(WithMode(ModePark)); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("ppoll from the environment: %v", err)
	}
	t.Setenv(BackendEnv, "")
	for _, thread := range []Thread{{CPUs: []int{0}}, {Nice: 1}, {Realtime: 1}, {TimerSlack: 1}} {
		if _, err := New(WithMode(ModePark), WithThread(thread)); err == nil || !strings.Contains(err.Error(), "has no thread") {
			t.Errorf("with a thread %+v: %v", thread, err)
		}
	}
}

// bound is a Poller that belongs to a thread, though there is a descriptor to wait for.
type bound struct{ *epoll.Poller }

func (bound) Bind() error { return nil }

func newBound(t testing.TB) bound {
	t.Helper()
	p, err := epoll.New()
	must(t, err)
	t.Cleanup(func() { _ = p.Close() }) // if no Context has taken it over
	return bound{p}
}
