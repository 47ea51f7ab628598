//go:build linux

package tracing_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"runtime/pprof"
	"runtime/trace"
	"strings"
	"testing"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/aio/tracing"
	"github.com/aioloop/aioloop/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// runOne runs one bottom half, and one inside it, of a loop with this hook.
func runOne(t *testing.T, hook func(aio.TraceEvent), f func()) {
	t.Helper()
	loop, err := aio.New(aio.WithName("disk"), aio.WithTrace(hook))
	if err != nil {
		t.Fatal(err)
	}
	defer loop.Close()
	inner := loop.NewBottomHalf(f).Named("inner")
	loop.NewBottomHalf(func() {
		inner.Schedule()
		loop.TryPoll()
	}).Named("outer").Schedule()
	if _, err := loop.TryPoll(); err != nil {
		t.Fatal(err)
	}
}

func ExampleLog() {
	withoutTimes := slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "took" {
			return slog.Attr{}
		}
		return a
	}}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &withoutTimes))
	loop, err := aio.New(aio.WithName("disk"), aio.WithTrace(tracing.Log(logger, slog.LevelDebug)))
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	loop.NewBottomHalf(func() { fmt.Println("hello") }).Named("greet").Schedule()
	loop.TryPoll()
	// Output:
	// hello
	// level=DEBUG msg=bottom-half loop=disk value=0 name=greet
}

func TestLogHasDurations(t *testing.T) {
	var b bytes.Buffer
	runOne(t, tracing.Log(slog.New(slog.NewTextHandler(&b, nil)), slog.LevelInfo), func() { time.Sleep(time.Millisecond) })
	if got := b.String(); strings.Count(got, "msg=bottom-half") != 2 || !strings.Contains(got, "name=inner took=") {
		t.Error(got)
	}
	b.Reset()
	runOne(t, tracing.Log(slog.New(slog.NewTextHandler(&b, nil)), slog.LevelDebug), func() {})
	if b.Len() > 0 {
		t.Errorf("below the level of the logger: %s", &b)
	}
}

func TestLabelsOfCallbacks(t *testing.T) {
	ctx := pprof.WithLabels(context.Background(), pprof.Labels("test", "yes"))
	pprof.SetGoroutineLabels(ctx)
	defer pprof.SetGoroutineLabels(context.Background())
	var inside string
	runOne(t, tracing.All(tracing.Labels(ctx), func(aio.TraceEvent) {}), func() { inside = labels(t) })
	if !strings.Contains(inside, `"callback":"inner"`) || !strings.Contains(inside, `"loop":"disk"`) || !strings.Contains(inside, `"test":"yes"`) {
		t.Error(inside)
	}
	if after := labels(t); strings.Contains(after, "inner") || !strings.Contains(after, `"test":"yes"`) {
		t.Error(after)
	}
}

// labels returns what the profile of goroutines says of this one.
func labels(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		t.Fatal(err)
	}
	for part := range strings.SplitSeq(b.String(), "\n\n") {
		if strings.Contains(part, "tracing_test.labels") {
			return part
		}
	}
	t.Fatalf("this goroutine is not in the profile:\n%s", &b)
	return ""
}

func TestRegionsAreInTheTrace(t *testing.T) {
	var b bytes.Buffer
	if err := trace.Start(&b); err != nil {
		t.Skip("skipped: another trace is being taken: ", err)
	}
	runOne(t, tracing.Regions(), func() {})
	trace.Stop()
	for _, want := range []string{"bottom-half inner", "bottom-half outer"} {
		if !bytes.Contains(b.Bytes(), []byte(want)) {
			t.Errorf("no region %q in the trace", want)
		}
	}
}
