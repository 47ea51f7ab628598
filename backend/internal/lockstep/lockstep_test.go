package lockstep

import (
	"errors"
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/epoll"
	"github.com/aioloop/aioloop/backend/iouring"
	"github.com/aioloop/aioloop/backend/ppoll"
	"github.com/aioloop/aioloop/internal/testkit"
	"github.com/aioloop/aioloop/internal/testkit/draw"
)

var must = testkit.Must

// The three Pollers watch the same descriptors, in lockstep, through a random
// series of changes. The model is a map of what is registered, and poll(2).
//
// A failure prints how to repeat it: -draw.seed.
func TestBackendsAgreeWithTheModel(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	checks := 3000
	if testing.Short() {
		checks = 100
	}
	draw.Check(t, checks, func(rt *draw.T) {
		m := newModel(rt)
		defer m.close()
		draw.Repeat(rt, map[string]func(*draw.T){
			"add":       m.add,
			"modify":    m.modify,
			"remove":    m.remove,
			"write":     m.write,
			"read":      m.read,
			"reopen":    m.reopen,
			"shortWait": m.shortWait,
			"wait":      m.wait,
		})
		m.wait(rt)
	})
}

const sources = 6

type model struct {
	pollers    []backend.Poller
	fds        [sources]source
	registered map[int]registration // by index in fds
	tags       backend.Tag
}

// source is an eventfd, or the reading end of a pipe.
type source struct{ fd, writer int }

type registration struct {
	events backend.Events
	tag    backend.Tag
}

func newModel(rt *draw.T) *model {
	m := &model{registered: make(map[int]registration)}
	for _, open := range []func() (backend.Poller, error){
		func() (backend.Poller, error) { return ppoll.New(), nil },
		func() (backend.Poller, error) { return epoll.New() },
		func() (backend.Poller, error) { return iouring.New() },
	} {
		p, err := open()
		if errors.Is(err, backend.ErrUnavailable) {
			rt.Logf("left out: %v", err)
			continue
		}
		must(rt, err)
		m.pollers = append(m.pollers, p)
	}
	for i := range m.fds {
		m.fds[i] = newSource(rt, i)
	}
	return m
}

func newSource(rt *draw.T, i int) source {
	if i%2 == 0 {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		must(rt, err)
		return source{fd, fd}
	}
	var p [2]int
	must(rt, unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK))
	return source{p[0], p[1]}
}

func (s source) close() {
	unix.Close(s.fd)
	if s.writer != s.fd {
		unix.Close(s.writer)
	}
}

func (m *model) close() {
	for _, p := range m.pollers {
		p.Close()
	}
	for _, s := range m.fds {
		s.close()
	}
}

func drawSource(rt *draw.T) int { return draw.Int(rt, 0, sources-1) }

func drawEvents(rt *draw.T) backend.Events {
	return draw.From(rt, []backend.Events{backend.In, backend.Out, backend.In | backend.Out, backend.Pri, 0})
}

// each calls f for all Pollers, which must agree on the outcome.
func (m *model) each(rt *draw.T, what string, want error, f func(backend.Poller) error) {
	for _, p := range m.pollers {
		if err := f(p); !errors.Is(err, want) {
			rt.Fatalf("%s: %s: got %v, want %v", p.Name(), what, err, want)
		}
	}
}

func (m *model) add(rt *draw.T) {
	i, events := drawSource(rt), drawEvents(rt)
	m.tags++
	_, exists := m.registered[i]
	var want error
	if exists {
		want = unix.EEXIST
	} else {
		m.registered[i] = registration{events, m.tags}
	}
	m.each(rt, "Add", want, func(p backend.Poller) error { return p.Add(m.fds[i].fd, events, m.tags) })
}

func (m *model) modify(rt *draw.T) {
	i, events := drawSource(rt), drawEvents(rt)
	m.tags++
	var want error = unix.ENOENT
	if _, exists := m.registered[i]; exists {
		want = nil
		m.registered[i] = registration{events, m.tags}
	}
	m.each(rt, "Modify", want, func(p backend.Poller) error { return p.Modify(m.fds[i].fd, events, m.tags) })
}

func (m *model) remove(rt *draw.T) { m.removes(rt, drawSource(rt)) }

func (m *model) removes(rt *draw.T, i int) {
	var want error = unix.ENOENT
	if _, exists := m.registered[i]; exists {
		want = nil
		delete(m.registered, i)
	}
	m.each(rt, "Remove", want, func(p backend.Poller) error { return p.Remove(m.fds[i].fd) })
}

func (m *model) write(rt *draw.T) {
	_, _ = unix.Write(m.fds[drawSource(rt)].writer, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

// read takes everything from an eventfd and one byte from a pipe.
func (m *model) read(rt *draw.T) {
	i := drawSource(rt)
	buf := make([]byte, 8)
	if i%2 == 1 {
		buf = buf[:1]
	}
	_, _ = unix.Read(m.fds[i].fd, buf)
}

// reopen closes a source and opens another, which gets the numbers of the old one
// or of one that was closed earlier.
func (m *model) reopen(rt *draw.T) {
	i := drawSource(rt)
	m.removes(rt, i)
	m.fds[i].close()
	m.fds[i] = newSource(rt, i)
}

// shortWait has room for some only: whatever it reports is registered.
func (m *model) shortWait(rt *draw.T) {
	for _, p := range m.pollers {
		m.reported(rt, p, draw.Int(rt, 1, 3))
	}
}

// wait has room for all: first nothing may be missing, then nothing may be there
// that does not hold (see backendtest: a Poller may look ahead).
func (m *model) wait(rt *draw.T) {
	want := m.holds(rt)
	for _, p := range m.pollers {
		first := m.reported(rt, p, 2*sources)
		for tag := range want {
			if first[tag] == 0 {
				rt.Fatalf("%s: tag %d is ready and was not reported; got %v, want %v", p.Name(), tag, first, want)
			}
		}
		if second := m.reported(rt, p, 2*sources); fmt.Sprint(second) != fmt.Sprint(want) {
			rt.Fatalf("%s: got %v, want %v", p.Name(), second, want)
		}
	}
}

// holds asks poll(2).
func (m *model) holds(rt *draw.T) map[backend.Tag]backend.Events {
	want := make(map[backend.Tag]backend.Events)
	for i, r := range m.registered {
		one := []unix.PollFd{{Fd: int32(m.fds[i].fd), Events: int16(r.events)}}
		for _, err := unix.Poll(one, 0); err != nil; _, err = unix.Poll(one, 0) {
			if err != unix.EINTR {
				rt.Fatal(err)
			}
		}
		if one[0].Revents != 0 {
			want[r.tag] = backend.Events(uint16(one[0].Revents))
		}
	}
	return want
}

func (m *model) reported(rt *draw.T, p backend.Poller, room int) map[backend.Tag]backend.Events {
	ready := make([]backend.Ready, room)
	n, err := p.Wait(ready, 0)
	if err != nil {
		rt.Fatalf("%s: Wait: %v", p.Name(), err)
	}
	known := make(map[backend.Tag]bool)
	for _, r := range m.registered {
		known[r.tag] = true
	}
	got := make(map[backend.Tag]backend.Events)
	for _, r := range ready[:n] {
		if !known[r.Tag] || got[r.Tag] != 0 {
			rt.Fatalf("%s: %v of tag %d, which is not registered or was reported before; got %v", p.Name(), r.Events, r.Tag, ready[:n])
		}
		got[r.Tag] = r.Events
	}
	return got
}
