package sys

import (
	"io/fs"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// A thread that starts during the walk is found too.
func TestEachThread(t *testing.T) {
	var seen []int
	var late int
	err := EachThread(func(tid int) error {
		if seen = append(seen, tid); late == 0 {
			number, stop := make(chan int), make(chan struct{})
			t.Cleanup(func() { close(stop) })
			go func() {
				runtime.LockOSThread() // and never unlocked: the thread is its own until it ends
				number <- unix.Gettid()
				<-stop
			}()
			late = <-number
		}
		return nil
	})
	if err != nil || !slices.Contains(seen, unix.Getpid()) || !slices.Contains(seen, late) {
		t.Errorf("the threads are %v (%v), without %d or %d", seen, err, unix.Getpid(), late)
	}
	if slices.Sort(seen); len(slices.Compact(seen)) != len(seen) {
		t.Errorf("one thread twice: %v", seen)
	}
}

func TestEachThreadErrors(t *testing.T) {
	for _, gone := range []error{unix.ESRCH, fs.ErrNotExist} {
		calls := 0
		if err := EachThread(func(int) error { calls++; return gone }); err != nil || calls < 2 {
			t.Errorf("%v of %d threads: %v, want nil", gone, calls, err)
		}
	}
	calls := 0
	if err := EachThread(func(int) error { calls++; return unix.EPERM }); err != unix.EPERM || calls != 1 {
		t.Errorf("%v after %d calls, want EPERM after one", err, calls)
	}
}
