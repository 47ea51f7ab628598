package aio

import (
	"encoding"
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/feature"
)

var (
	_ flag.Value               = (*Backend)(nil)
	_ encoding.TextUnmarshaler = (*Backend)(nil)
	_ encoding.TextMarshaler   = Backend(0)
)

func TestBackendIsAFlag(t *testing.T) {
	for name, want := range map[string]Backend{"auto": Auto, "ppoll": Ppoll, "epoll": Epoll, "io_uring": IOUring} {
		var b Backend
		flags := flag.NewFlagSet("test", flag.ContinueOnError)
		flags.Var(&b, "backend", "")
		must(t, flags.Parse([]string{"-backend", name}))
		if b != want || b.String() != name {
			t.Errorf("-backend %s gives %v", name, b)
		}
	}
	b := Epoll
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Var(&b, "backend", "")
	err := flags.Parse([]string{"-backend", "kqueue"})
	if err == nil || b != Epoll {
		t.Fatalf("%v, %v", b, err)
	}
	for _, word := range []string{`"kqueue"`, "auto", "ppoll", "epoll", "io_uring"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %s", err, word)
		}
	}
}

func TestBackendIsText(t *testing.T) {
	for _, want := range append([]Backend{Auto}, realBackends...) {
		text, err := want.MarshalText()
		must(t, err)
		var b Backend
		if err := b.UnmarshalText(text); err != nil || b != want {
			t.Errorf("%s: %v, %v", text, b, err)
		}
	}
	if _, err := Backend(99).MarshalText(); err == nil || Backend(99).String() != "Backend(99)" {
		t.Error("an unknown backend has a name")
	}
	if err := new(Backend).UnmarshalText([]byte("")); err == nil {
		t.Error("an empty name was taken")
	}
}

func TestExplicitBackend(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop(WithName("disk"))
		want, _, _ := strings.Cut(strings.TrimPrefix(t.Name(), "TestExplicitBackend/backend="), ",")
		if info := c.Backend(); info.Name != want || info.Reason != "asked for" {
			t.Errorf("%v", info)
		}
		if c.Name() != "disk" {
			t.Errorf("Name is %q", c.Name())
		}
	})
}

func TestBackendFromTheEnvironment(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		name := newLoop().Backend().Name
		t.Setenv(BackendEnv, name)
		for _, opts := range [][]Option{nil, {WithBackend(Auto)}} {
			c, err := New(opts...)
			must(t, err)
			if info := c.Backend(); info.Name != name || !strings.Contains(info.Reason, BackendEnv) {
				t.Errorf("%v", info)
			}
			must(t, c.Close())
		}
	})
}

func TestExplicitBackendBeatsTheEnvironment(t *testing.T) {
	for _, value := range []string{"epoll", "nonsense"} {
		t.Setenv(BackendEnv, value)
		c, err := New(WithBackend(Ppoll))
		must(t, err)
		if c.Backend().Name != "ppoll" {
			t.Errorf("%v", c.Backend())
		}
		must(t, c.Close())
	}
}

func TestBadNameInTheEnvironment(t *testing.T) {
	checkDescriptors(t)
	t.Setenv(BackendEnv, "kqueue")
	_, err := New()
	if err == nil || !strings.Contains(err.Error(), BackendEnv) || !strings.Contains(err.Error(), `"kqueue"`) {
		t.Errorf("%v", err)
	}
}

func TestAutoSaysWhy(t *testing.T) {
	c, err := New()
	must(t, err)
	info := c.Backend()
	must(t, c.Close())
	if info.Name == "" || !strings.Contains(info.Reason, "best that works here") {
		t.Errorf("%v", info)
	}
	if want := info.Name + " (" + info.Reason + ")"; info.String() != want {
		t.Errorf("%q, want %q", info, want)
	}
}

// Without DEFER_TASKRUN completions interrupt the home thread, and epoll is better:
// Auto goes on to that, and says why.
func TestAutoPassesOverAnIOUringThatInterrupts(t *testing.T) {
	if !feature.IOUring.Works() || feature.DeferTaskrun.Works() {
		t.Skip("this kernel has DEFER_TASKRUN (Linux 6.1), or no io_uring at all")
	}
	t.Setenv(BackendEnv, "")
	c, err := New(WithMode(ModeThread))
	must(t, err)
	defer closeLoop(t, c)
	if info := c.Backend(); info.Name != "epoll" || !strings.Contains(info.Reason, "DEFER_TASKRUN") {
		t.Errorf("%v", info)
	}
}

// A stranger's Poller, which has none of the optional abilities.
func TestWithPoller(t *testing.T) {
	for _, b := range realBackends {
		t.Run("backend="+b.String(), func(t *testing.T) {
			checkDescriptors(t)
			inner, _, err := b.open(ModeThread)
			if err != nil {
				t.Skip(err)
			}
			lockThread(t)
			p := &scriptedPoller{Poller: inner}
			c, err := New(WithBackend(Epoll), WithPoller(p))
			must(t, err)
			t.Cleanup(func() { closeLoop(t, c) })
			if info := c.Backend(); info.Name != "scripted" || !strings.Contains(info.Reason, "WithPoller") {
				t.Errorf("%v", info)
			}
			n := notifier(t)
			ran := 0
			h := watchNotifier(t, c, n, func() { ran++ })
			for i := 1; i <= 3; i++ {
				must(t, n.Set())
				go c.Notify()
				pollUntil(t, c, func() bool { return ran == i })
			}
			restsFor(t, c, 5*time.Millisecond)
			wantError(t, submit(c, Request{}, func(int, error) {}), errors.ErrUnsupported)
			must(t, h.Close())
			must(t, c.Close())
			if p.closed != 1 {
				t.Errorf("closed %d times", p.closed)
			}
		})
	}
}

// New owns the Poller that it was given, also when it fails, in whatever order the
// options come.
func TestNewThatFailsClosesThePoller(t *testing.T) {
	for name, bad := range map[string][]Option{
		"before": {WithBackend(99)}, "after": {nil}, "nil option": {nil}, "refused": nil,
	} {
		t.Run(name, func(t *testing.T) {
			checkDescriptors(t)
			inner, _, err := Epoll.open(ModeThread)
			must(t, err)
			p := &scriptedPoller{Poller: inner}
			opts := append([]Option{WithPoller(p)}, bad...)
			if name == "before" {
				opts = append(bad, WithPoller(p))
			}
			if name == "refused" {
				p.refuse = errCause
			}
			_, err = New(opts...)
			if err == nil || p.closed != 1 || name == "refused" && !errors.Is(err, errCause) {
				t.Errorf("%v; closed %d times", err, p.closed)
			}
		})
	}
}

// A second Poller is an error, and both are closed.
func TestTwoPollersAreClosed(t *testing.T) {
	checkDescriptors(t)
	var pollers [2]*scriptedPoller
	for i := range pollers {
		inner, _, err := Epoll.open(ModeThread)
		must(t, err)
		pollers[i] = &scriptedPoller{Poller: inner}
	}
	_, err := New(WithPoller(pollers[0]), WithPoller(pollers[1]))
	if err == nil || !strings.Contains(err.Error(), "WithPoller") {
		t.Errorf("New: %v", err)
	}
	for i, p := range pollers {
		if p.closed != 1 {
			t.Errorf("Poller %d is closed %d times", i, p.closed)
		}
	}
}

// A Poller that fails: Poll reports it, and the loop goes on.
func TestErrorOfThePollerSurfaces(t *testing.T) {
	inner, _, err := Ppoll.open(ModeThread)
	must(t, err)
	p := &scriptedPoller{Poller: inner}
	c, err := New(WithPoller(p))
	must(t, err)
	t.Cleanup(func() { closeLoop(t, c) })
	ran := false
	n := notifier(t)
	watchNotifier(t, c, n, func() { ran = true })
	must(t, n.Set())
	p.fail = unix.ENOMEM
	_, err = c.Poll()
	wantError(t, err, unix.ENOMEM)
	if !strings.HasPrefix(err.Error(), "aio: ") {
		t.Errorf("%q does not say who reports it", err)
	}
	if block(t, c); !ran {
		t.Error("the loop does not go on")
	}
}
