//go:build linux

// Package tracing has functions for aio.WithTrace: they hand what a loop does to the tools that Go
// programs have already.
//
//	loop, err := aio.New(aio.WithName("disk"), aio.WithTrace(tracing.All(
//		tracing.Log(slog.Default(), slog.LevelDebug),
//		tracing.Regions(),
//		tracing.Labels(context.Background()),
//	)))
package tracing

import (
	"context"
	"log/slog"
	"runtime/pprof"
	"runtime/trace"

	"github.com/aioloop/aioloop/aio"
)

// All calls each of the hooks.
func All(hooks ...func(aio.TraceEvent)) func(aio.TraceEvent) {
	return func(e aio.TraceEvent) {
		for _, hook := range hooks {
			hook(e)
		}
	}
}

// Log writes a record for each event that is the end of something, or takes no time.
func Log(l *slog.Logger, level slog.Level) func(aio.TraceEvent) {
	ctx := context.Background()
	return func(e aio.TraceEvent) {
		if isCallback(e.Point) && !e.End || !l.Enabled(ctx, level) {
			return
		}
		attrs := append(make([]slog.Attr, 0, 4), slog.String("loop", e.Loop), slog.Int64("value", e.Value))
		if e.Name != "" {
			attrs = append(attrs, slog.String("name", e.Name))
		}
		if e.End {
			attrs = append(attrs, slog.Duration("took", e.Duration))
		}
		l.LogAttrs(ctx, level, e.Point.String(), attrs...)
	}
}

// isCallback reports whether p has a beginning and an end of the same name.
func isCallback(p aio.TracePoint) bool {
	switch p {
	case aio.TraceBottomHalf, aio.TraceHandler, aio.TraceTimer, aio.TraceCompletion:
		return true
	}
	return false
}

// Regions makes each callback a region of the execution trace, see runtime/trace, and the rest log
// messages in it; "go tool trace" shows both. It costs little while no trace is taken. A hook is
// for one Context.
func Regions() func(aio.TraceEvent) {
	ctx := context.Background()
	var open []*trace.Region
	return func(e aio.TraceEvent) {
		switch {
		case isCallback(e.Point) && !e.End:
			open = append(open, trace.StartRegion(ctx, e.Point.String()+" "+e.Name))
		case isCallback(e.Point):
			last := len(open) - 1
			open[last].End()
			open = open[:last]
		case trace.IsEnabled():
			trace.Log(ctx, "aioloop "+e.Loop, e.Point.String())
		}
	}
}

// Labels labels the home goroutine while a callback runs, for the profiles of runtime/pprof: "loop"
// is the name of the Context, "callback" that of the bottom half, handler or timer. Labels of
// ctx stay. A hook is for one Context.
func Labels(ctx context.Context) func(aio.TraceEvent) {
	known := map[string]context.Context{}
	var open []context.Context
	return func(e aio.TraceEvent) {
		if !isCallback(e.Point) {
			return
		}
		if !e.End {
			labelled := known[e.Name]
			if labelled == nil {
				labelled = pprof.WithLabels(ctx, pprof.Labels("loop", e.Loop, "callback", e.Name))
				known[e.Name] = labelled
			}
			open = append(open, labelled)
		} else {
			open = open[:len(open)-1]
		}
		now := ctx
		if len(open) > 0 {
			now = open[len(open)-1]
		}
		pprof.SetGoroutineLabels(now)
	}
}
