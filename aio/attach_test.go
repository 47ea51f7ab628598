//go:build linux

package aio

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
)

type attachment struct {
	name  string
	ended *[]string
}

func (a *attachment) End() []string {
	*a.ended = append(*a.ended, a.name)
	return []string{a.name + " of the test"}
}

func (a *attachment) Work() []string { return []string{a.name + " works"} }

type attachKey string

func attach(t *testing.T, loop *Context, name string, ended *[]string) Attachment {
	t.Helper()
	a, err := loop.Attach(attachKey(name), func() (Attachment, error) { return &attachment{name, ended}, nil })
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAttachmentsEndWithTheirLoop(t *testing.T) {
	loop, err := New()
	if err != nil {
		t.Fatal(err)
	}
	var ended []string
	first := attach(t, loop, "first", &ended)
	attach(t, loop, "second", &ended)
	if attach(t, loop, "first", &ended) != first {
		t.Error("one key has two attachments")
	}
	s, err := loop.Snapshot()
	if err != nil || !slices.Equal(s.Operations, []string{"first works", "second works"}) {
		t.Errorf("snapshot: %v, %v", s.Operations, err)
	}
	err = loop.Close()
	var leaks *LeakError
	if !errors.As(err, &leaks) || !slices.Equal(leaks.Operations, []string{"second of the test", "first of the test"}) {
		t.Errorf("Close: %v", err)
	}
	if !slices.Equal(ended, []string{"second", "first"}) {
		t.Errorf("they ended in the order %v", ended)
	}
	if _, err := loop.Attach(attachKey("third"), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestAttachFailsWithCreate(t *testing.T) {
	loop := newLoopOn(t, Epoll)
	want := errors.New("no engine")
	if _, err := loop.Attach(attachKey("a"), func() (Attachment, error) { return nil, want }); !errors.Is(err, want) {
		t.Errorf("it fails with %v", err)
	}
}

func TestAttachFromManyGoroutinesHasOneWinner(t *testing.T) {
	loop := newLoopOn(t, Epoll)
	var all [8]Attachment
	ended := make([][]string, len(all))
	var wait sync.WaitGroup
	for i := range all {
		wait.Go(func() {
			all[i], _ = loop.Attach(attachKey("x"), func() (Attachment, error) { return &silent{ended: &ended[i]}, nil })
		})
	}
	wait.Wait()
	for _, a := range all {
		if a != all[0] {
			t.Fatal("two won")
		}
	}
	for i, e := range ended {
		if all[i] == nil || all[0].(*silent).ended == &ended[i] && len(e) > 0 {
			t.Error("the winner was ended")
		}
	}
}

type silent struct{ ended *[]string }

func (s *silent) End() []string  { *s.ended = append(*s.ended, "ended"); return nil }
func (s *silent) Work() []string { return nil }

func TestRunUntilDoneWaitsForHolds(t *testing.T) {
	loop := newLoopOn(t, Epoll)
	loop.Hold()
	loop.Hold()
	released := 0
	for range 2 {
		go func() {
			_ = loop.Do(context.Background(), func() error { released++; return nil })
			loop.Release()
		}()
	}
	if err := loop.RunUntilDone(t.Context()); err != nil || released != 2 {
		t.Errorf("it ended with %v after %d of 2", err, released)
	}
}

func TestHandlersInTheBackgroundAreNoReasonToRun(t *testing.T) {
	loop := newLoopOn(t, Epoll)
	n, err := NewEventNotifier()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	h, err := loop.WatchNotifier(n, Callbacks{Read: func(*Handler) {}})
	if err != nil {
		t.Fatal(err)
	}
	h.SetBackground(true)
	if err := loop.RunUntilDone(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.SetBackground(false)
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	_, _ = loop.AfterFunc(0, func() { cancel(enough) })
	if err := loop.RunUntilDone(ctx); err != nil || !errors.Is(context.Cause(ctx), enough) {
		t.Errorf("it ended with %v, %v", err, context.Cause(ctx))
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h.SetBackground(true) // does nothing
	if err := loop.RunUntilDone(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, _ := loop.Snapshot()
	if strings.Contains(s.String(), "handler") {
		t.Error(s)
	}
}
