package iouring

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

func newUnbound(t *testing.T) *Poller {
	t.Helper()
	p, err := NewUnbound()
	if errors.Is(err, backend.ErrUnavailable) {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// onDyingThread runs f and ends its thread.
func onDyingThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocks: the thread ends with the goroutine
		f()
	}()
	<-done
}

// Trap 2: requests belong to the thread that submitted them. A home goroutine that
// moves leaves some behind on threads that end.
func TestTrap02_RequestsSurviveTheirThread(t *testing.T) {
	p := newUnbound(t)
	p.home.Store(1) // whichever goroutine it is
	var level, edge, read [2]int
	for _, ends := range []*[2]int{&level, &edge, &read} {
		must(t, unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK))
		defer unix.Close(ends[0])
		defer unix.Close(ends[1])
	}
	must(t, unix.SetNonblock(read[0], false))
	must(t, p.Add(level[0], backend.In, 1))
	must(t, p.Add(edge[0], backend.In|backend.Edge, 2))
	must(t, p.Submit(&backend.Request{Code: backend.OpRead, FD: read[0], Buf: make([]byte, 8), Offset: -1}))
	onDyingThread(func() { wait(t, p, 0) })
	for range 3 {
		wait(t, p, 10*time.Millisecond)
	}
	seen := map[backend.Tag]bool{}
	for _, ends := range []*[2]int{&level, &edge, &read} {
		_, err := unix.Write(ends[1], []byte("x"))
		must(t, err)
	}
	for deadline := time.Now().Add(10 * time.Second); len(seen) < 3; {
		for _, r := range wait(t, p, 10*time.Millisecond) {
			seen[r.Tag] = true
		}
		if done := completions(p); len(done) == 1 {
			if done[0].Result != 1 {
				t.Fatalf("the read ends with %v", done[0].Err())
			}
			seen[3] = true
		}
		if time.Now().After(deadline) {
			t.Fatalf("seen: %v", seen)
		}
	}
}
