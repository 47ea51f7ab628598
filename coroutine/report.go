//go:build linux

package coroutine

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"time"

	"github.com/aioloop/aioloop/internal/goroutine"
	"github.com/aioloop/aioloop/internal/sys"
)

// The errors of this package, for errors.Is. Waits fail with aio.ErrClosed and context.Cause, too.
var (
	// ErrEnded is returned by Wake and Enter of a coroutine that has ended.
	ErrEnded = errors.New("coroutine: it has ended")

	// ErrNotRunning is returned by what waits if its caller is not the coroutine: on another
	// goroutine, or in a callback.
	ErrNotRunning = errors.New("coroutine: only the coroutine itself can wait, in its own function")

	// ErrNested is returned by what waits inside a Poll that the coroutine has called, and in a
	// function that C has called inside the coroutine; and by Enter where Go's runtime does not
	// allow the switch, inside one more call from C than where coroutines were started.
	ErrNested = errors.New("coroutine: a wait inside a Poll or a call from C that began in the coroutine: return from there first")

	// ErrGoexit is the Err of a coroutine that has called runtime.Goexit: t.Fatal, for example.
	ErrGoexit = errors.New("coroutine: it has ended its goroutine")
)

// UseError is returned when a coroutine is used wrongly, and says where: it was woken twice, or
// entered while it runs.
type UseError struct {
	Coroutine     string // its name
	Problem       string // "woken twice", for example
	First, Second string // the places of the two calls, file and line
}

func (e *UseError) Error() string {
	return fmt.Sprintf("coroutine: %s was %s: at %s, and before that at %s", e.Coroutine, e.Problem, e.Second, e.First)
}

// PanicError is the Err of a coroutine whose function has panicked.
type PanicError struct {
	Coroutine string // its name
	Value     any    // of the panic
	Stack     []byte // of the coroutine, see debug.Stack
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("coroutine: %s panicked: %v\n\n%s", e.Coroutine, e.Value, e.Stack)
}

// Unwrap returns the value of the panic if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// activity is what a coroutine does: the lower bits of Co.waits.
type activity uint64

const (
	notBegun activity = iota
	inFunction
	inYield
	inSleep
	inWait
	inLock
	inRelock // its context does not end it
	inQueue
	inSemaphore
	inGroup
	hasEnded

	activityMask = 1<<8 - 1
)

var activities = [...]string{
	notBegun: "has not begun", inFunction: "runs", inYield: "is in Yield", inSleep: "is in Sleep", inWait: "is in Wait",
	inLock: "waits for a lock", inRelock: "waits for a lock", inQueue: "waits in a Queue", inSemaphore: "waits for a Semaphore", inGroup: "waits for a Group", hasEnded: "has ended",
}

// is reports whether that is what the coroutine does. Any goroutine may call it.
func (co *Co) is(what activity) bool { return activity(co.waits.Load())&activityMask == what }

// Named gives the coroutine a name for errors, Snapshot, profiles and goroutine dumps, where it is
// the label "coroutine", and for execution traces. Without one, it is called like its
// function. The coroutine itself calls it, first of all.
func (co *Co) Named(name string) *Co {
	co.name.Store(&name)
	if w := co.w; w != nil && w.id == uintptr(goroutine.Current()) {
		pprof.SetGoroutineLabels(pprof.WithLabels(co.Context(), pprof.Labels("coroutine", name)))
		w.labelled = true
		if w.region != nil { // it has the name of the function
			w.region.End()
			w.beginRegion()
		}
	}
	return co
}

// unlabel undoes the label of Named, for the next coroutine on the same goroutine.
func (w *worker) unlabel() {
	w.labelled = false
	pprof.SetGoroutineLabels(context.Background())
}

// beginRegion begins what an execution trace shows as long as the function of the coroutine runs
// and waits.
func (w *worker) beginRegion() {
	w.region = trace.StartRegion(w.co.Context(), "coroutine "+w.co.Name())
}

func (w *worker) endRegion() {
	w.region.End()
	w.region = nil
}

// Name returns the name of the coroutine. Any goroutine may call it.
func (co *Co) Name() string {
	if name := co.name.Load(); name != nil {
		return *name
	}
	if f := runtime.FuncForPC(reflect.ValueOf(co.fn).Pointer()); f != nil {
		return f.Name()
	}
	return "?"
}

// String says which coroutine it is, where it was started, and what it does since when. Any goroutine
// may call it. The time is that of the iteration in which it has begun to wait.
func (co *Co) String() string {
	now := co.waits.Load()
	what := activity(now) & activityMask
	text := fmt.Sprintf("coroutine %s, started at %v, %s", co.Name(), co.begunAt, activities[what])
	if what == notBegun || what == inFunction || what == hasEnded {
		return text
	}
	since := sys.Monotonic() - time.Duration(now&^activityMask)
	return fmt.Sprintf("%s at %v for %v", text, goroutine.Place(co.waitsAt.Load()), since.Round(time.Microsecond))
}

// place returns where the coroutine was entered last.
func (co *Co) place() goroutine.Place {
	if at := goroutine.Place(co.wokenAt.Load()); at != 0 {
		return at
	}
	return co.begunAt
}

func (co *Co) misuse(problem string, first, second goroutine.Place) error {
	return &UseError{Coroutine: co.Name(), Problem: problem, First: first.String(), Second: second.String()}
}

// Work implements aio.Attachment.
func (s *scheduler) Work() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.workers {
		if co := w.shown.Load(); co != nil && !co.is(hasEnded) {
			names = append(names, co.String())
		}
	}
	slices.Sort(names)
	return names
}
