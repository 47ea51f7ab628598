//go:build glib && cgo

// Glib runs an aio.Context from GLib's main loop, on each backend: its timers, its
// bottom halves, its handlers and its coroutines are called by g_main_loop_run, next to a timeout
// of GLib's own, and bottom halves that goroutines schedule wake GLib up. It ends
// with status 1 if one of them does not come.
//
//	make glib
//	go run -tags glib ./examples/glib -backend epoll
//
// What a program of one's own needs of this is Source, in source.go.
package main

/*
#include <stdint.h>
#include <glib.h>

extern int glibTick(uintptr_t handle);

static gboolean tick(gpointer handle)
{
	return glibTick((uintptr_t)handle);
}

// add_tick calls glibTick every ms milliseconds, until it returns FALSE.
static GSource *add_tick(GMainContext *to, guint ms, uintptr_t handle)
{
	GSource *s = g_timeout_source_new(ms);
	g_source_set_callback(s, tick, (gpointer)handle, NULL);
	g_source_attach(s, to);
	return s;
}
*/
import "C"

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"runtime/cgo"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/coroutine"
)

// patience is how long one backend may take, on a busy machine.
const patience = 30 * time.Second

func main() {
	var only aio.Backend
	flag.Var(&only, "backend", "auto (all of them), ppoll, epoll or io_uring")
	flag.Parse()
	log.SetFlags(0)
	runtime.LockOSThread() // a GMainContext belongs to the thread that iterates it
	for _, b := range []aio.Backend{aio.Ppoll, aio.Epoll, aio.IOUring} {
		if only != aio.Auto && only != b {
			continue
		}
		err := try(b)
		if errors.Is(err, backend.ErrUnavailable) && only == aio.Auto {
			fmt.Printf("%s: skipped: %v\n", b, err)
		} else if err != nil {
			log.Fatalf("glib: %s: %v", b, err)
		}
	}
}

// What has to happen, and how often.
const (
	bottomHalves = 2000 // scheduled by goroutines, each when the last has run
	producers    = 2
	timers       = 50 // 1 ms apart
	reads        = 100
	nested       = 1
	ticks        = 3 // of GLib, 5 ms apart
)

// trial is one run of GLib's loop.
type trial struct {
	loop   *aio.Context
	source *Source
	main   *C.GMainLoop
	thread int

	// These belong to the home goroutine.
	ran     struct{ bottomHalves, timers, reads, nested, ticks, sleeps, woken, ended int }
	sleeper *coroutine.Co
	err     error
}

func try(b aio.Backend) (err error) {
	loop, err := aio.New(aio.WithBackend(b), aio.WithName("guest"))
	if err != nil {
		return err
	}
	ctx := C.g_main_context_new()
	defer C.g_main_context_unref(ctx)
	t := &trial{loop: loop, main: C.g_main_loop_new(ctx, C.FALSE), thread: unix.Gettid()}
	defer C.g_main_loop_unref(t.main)
	t.source = Attach(loop, ctx, t.fail)
	handle := cgo.NewHandle(t)
	defer handle.Delete()
	tick := C.add_tick(ctx, 5, C.uintptr_t(handle))
	defer func() { C.g_source_destroy(tick); C.g_source_unref(tick) }()
	watchdog := time.AfterFunc(patience, func() {
		fmt.Fprintf(os.Stderr, "glib: %s: not done after %v: %+v\n", b, patience, t.ran)
		os.Exit(1)
	})
	defer watchdog.Stop()

	finish, err := t.start()
	if err != nil {
		return err
	}
	t.startCoroutines(ctx)
	C.g_main_loop_run(t.main)
	t.fail(t.sleeper.Err())
	if t.err != nil {
		return t.err
	}
	finish()
	t.source.Destroy()
	woken := loop.Stats().NotifiesWritten
	if woken == 0 {
		return errors.New("no notify has woken GLib")
	}
	if err := loop.Close(); err != nil {
		return err
	}
	fmt.Printf("%s: g_main_loop_run has called %d bottom halves, for which %d notifies woke it, %d timers, %d reads, %d waits of coroutines, and GLib's own timeout %d times\n",
		b, t.ran.bottomHalves, woken, t.ran.timers, t.ran.reads, t.ran.sleeps, t.ran.ticks)
	return nil
}

// start sets everything going. finish is called when the loop has ended.
func (t *trial) start() (finish func(), err error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	t.startTimers()
	t.startReads(pipe[0])
	var all sync.WaitGroup
	for range producers {
		all.Go(t.produce)
	}
	all.Go(func() {
		for range reads {
			time.Sleep(100 * time.Microsecond)
			unix.Write(pipe[1], []byte{1})
		}
	})
	return func() {
		all.Wait()
		unix.Close(pipe[0])
		unix.Close(pipe[1])
	}, nil
}

// produce schedules bottom halves from a goroutine, each when the last has run. When
// ticks and timers have ended, they alone can wake GLib.
func (t *trial) produce() {
	ran := make(chan struct{})
	bh := t.loop.NewBottomHalf(func() {
		t.ran.bottomHalves++
		t.called("a bottom half")
		ran <- struct{}{}
	})
	for i := range bottomHalves / producers {
		if i%100 == 0 { // GLib is certain to sleep now
			time.Sleep(20 * time.Millisecond)
		}
		bh.Schedule()
		<-ran
	}
}

// startTimers has a timer arm itself again.
func (t *trial) startTimers() {
	var timer *aio.Timer
	timer = t.loop.NewTimer(aio.Realtime, func() {
		if t.ran.timers++; t.ran.timers < timers {
			timer.Reset(time.Millisecond)
		}
		t.called("a timer")
	})
	timer.Reset(time.Millisecond)
}

// startReads watches fd from a bottom half on, and no longer than for what it
// expects: so the descriptors of the source change while GLib runs.
func (t *trial) startReads(fd int) {
	read := func(handler *aio.Handler) {
		var buf [reads]byte
		n, _ := unix.Read(fd, buf[:])
		t.ran.reads += max(n, 0)
		if t.ran.reads == reads {
			t.fail(handler.Close())
		}
		t.called("a handler")
	}
	t.fail(t.loop.ScheduleOnce(func() {
		_, err := t.loop.Watch(fd, aio.Callbacks{Read: read})
		t.fail(err)

		// A callback may poll, here too.
		t.fail(t.loop.ScheduleOnce(func() { t.ran.nested++ }))
		_, err = t.loop.TryPoll()
		t.fail(err)
		t.called("a nested iteration")
	}))
}

// tick is GLib's own timeout, which shares the loop with the Context. It reports
// whether GLib shall keep it.
func (t *trial) tick() bool {
	t.ran.ticks++
	t.quitWhenDone()
	return t.ran.ticks < ticks
}

// called checks that it was GLib that has called, in the thread that runs its
// loop, by dispatching the source.
func (t *trial) called(what string) {
	if C.g_main_depth() == 0 || C.g_main_current_source() != t.source.g || unix.Gettid() != t.thread {
		t.fail(fmt.Errorf("%s was not called by GLib", what))
	}
	t.quitWhenDone()
}

func (t *trial) fail(err error) {
	if err != nil {
		t.err = errors.Join(t.err, err)
		C.g_main_loop_quit(t.main)
	}
}

func (t *trial) quitWhenDone() {
	r := &t.ran
	if r.bottomHalves >= bottomHalves && r.timers >= timers && r.reads >= reads && r.nested >= nested && r.ticks >= ticks &&
		r.sleeps >= sleeps && r.woken >= 1 && r.ended >= 1 {
		C.g_main_loop_quit(t.main)
	}
}
