//go:build glib && cgo

package main

/*
#cgo pkg-config: glib-2.0
#include <stdint.h>
#include <glib.h>

// What Go exports, see callbacks.go.
extern int aioPrepare(uintptr_t handle);
extern int aioCheck(uintptr_t handle);
extern int aioDispatch(uintptr_t handle);
extern void aioFinalize(uintptr_t handle);

// A GSource with a Go value. GLib knows nothing of it but a number.
typedef struct {
	GSource base;
	uintptr_t handle;
} AioSource;

static gboolean prepare(GSource *s, gint *timeout)
{
	*timeout = aioPrepare(((AioSource *)s)->handle);
	return FALSE; // TRUE would leave out check
}

static gboolean check(GSource *s)
{
	return aioCheck(((AioSource *)s)->handle);
}

static gboolean dispatch(GSource *s, GSourceFunc f, gpointer data)
{
	return aioDispatch(((AioSource *)s)->handle);
}

static void finalize(GSource *s)
{
	aioFinalize(((AioSource *)s)->handle);
}

static GSourceFuncs funcs = { prepare, check, dispatch, finalize };

static GSource *new_source(uintptr_t handle)
{
	GSource *s = g_source_new(&funcs, sizeof(AioSource));
	((AioSource *)s)->handle = handle;
	return s;
}
*/
import "C"

import (
	"math"
	"runtime/cgo"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

// Source makes an aio.Context a guest of a GMainContext. Its phases are called by
// GLib, in the C call that iterates the GMainContext. A call from C runs on the
// goroutine that has called C, so that one is the Context's home goroutine.
type Source struct {
	loop   *aio.Context
	g      *C.GSource
	failed func(error)
	err    error // the first one; it removes the source

	fds  []unix.PollFd // what GLib waits for
	tags []C.gpointer  // GLib's name of each
	next []unix.PollFd // what it shall wait for in this turn
}

// Attach gives loop to a GMainContext. Its priority is GLib's default. If a phase
// fails, GLib drops the source, and failed is called.
func Attach(loop *aio.Context, to *C.GMainContext, failed func(error)) *Source {
	s := &Source{loop: loop, failed: failed}
	s.g = C.new_source(C.uintptr_t(cgo.NewHandle(s)))
	C.g_source_set_can_recurse(s.g, C.TRUE) // an aio.Context allows for it
	C.g_source_attach(s.g, to)
	return s
}

// Destroy takes the source away from GLib. The Context stays open.
func (s *Source) Destroy() {
	C.g_source_destroy(s.g)
	C.g_source_unref(s.g)
}

// prepare returns for how many milliseconds GLib may wait, -1 forever.
func (s *Source) prepare() C.int {
	timeout, err := s.loop.Prepare()
	if err != nil {
		s.err = err
		return 0
	}
	s.next = s.loop.Query(s.next[:0])
	s.watch()
	if timeout < 0 {
		return -1
	}
	ms := (timeout + time.Millisecond - 1) / time.Millisecond // up, or it would spin
	return C.int(min(ms, math.MaxInt32))
}

// watch tells GLib what has changed since the last turn. An aio.Context on epoll or
// io_uring has one descriptor, always the same; on ppoll it has all of its own.
func (s *Source) watch() {
	for i, want := range s.next {
		switch {
		case i == len(s.fds):
			s.fds = append(s.fds, want)
			s.tags = append(s.tags, s.add(want))
		case s.fds[i].Fd != want.Fd:
			s.remove(i)
			s.tags[i] = s.add(want)
		case s.fds[i].Events != want.Events && s.tags[i] != nil:
			C.g_source_modify_unix_fd(s.g, s.tags[i], C.GIOCondition(want.Events))
		}
	}
	for i := len(s.next); i < len(s.fds); i++ {
		s.remove(i)
	}
	s.tags = s.tags[:len(s.next)]
	s.fds = append(s.fds[:0], s.next...)
}

func (s *Source) add(p unix.PollFd) C.gpointer {
	if p.Fd < 0 { // switched off
		return nil
	}
	return C.g_source_add_unix_fd(s.g, C.gint(p.Fd), C.GIOCondition(p.Events))
}

func (s *Source) remove(i int) {
	if s.tags[i] != nil {
		C.g_source_remove_unix_fd(s.g, s.tags[i])
	}
}

// check brings back what GLib has seen.
func (s *Source) check() bool {
	if s.err != nil {
		return true // for dispatch to remove it
	}
	for i, tag := range s.tags {
		s.fds[i].Revents = 0
		if tag != nil {
			s.fds[i].Revents = int16(C.g_source_query_unix_fd(s.g, tag))
		}
	}
	ready, err := s.loop.Check(s.fds)
	if err != nil {
		s.err = err
	}
	return ready || err != nil
}

// dispatch reports whether GLib shall keep the source.
func (s *Source) dispatch() bool {
	if s.err == nil {
		_, s.err = s.loop.Dispatch()
	}
	if s.err != nil {
		s.failed(s.err)
	}
	return s.err == nil
}
