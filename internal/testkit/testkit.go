//go:build linux

// Package testkit is what the tests of several packages check and wait with.
package testkit

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aioloop/aioloop/internal/testkit/guest"
)

// Patience is how long a test waits for what must happen. It is a bound against hanging, not
// an expectation.
var Patience = guest.Patient(20 * time.Second)

// Must fails if err is not nil.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// WantError fails unless err matches want.
func WantError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

// Eventually waits, without a loop of the library, until done.
func Eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !done(); time.Sleep(10 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not happen: %s", what)
		}
		runtime.Gosched() // on a slow machine the sleep is over when it begins, and the only P runs nothing else
	}
}

// Elsewhere calls f on a goroutine of its own and waits for it.
func Elsewhere(f func()) {
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	<-done
}

// SleepsLess fails unless the threads of the process sleep less often during run with true than with
// false, while another goroutine computes and Ps are idle.
func SleepsLess(t testing.TB, run func(with bool)) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	var stop atomic.Bool
	var computing sync.WaitGroup
	computing.Go(func() {
		for !stop.Load() {
		}
	})
	defer computing.Wait()
	defer stop.Store(true)
	sleeps := func(with bool) int64 {
		before := switches(t)
		run(with)
		return switches(t) - before
	}
	Eventually(t, "the threads sleep less often", func() bool { return 3*sleeps(true) < 2*sleeps(false) })
}

// switches is how often a thread of the process has gone to sleep.
func switches(t testing.TB) int64 {
	t.Helper()
	var usage syscall.Rusage
	Must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return int64(usage.Nvcsw) // an int32 on some machines
}
