package word

import (
	"runtime"
	"sync"
	"testing"
)

func TestWord(t *testing.T) {
	var w Word
	if w.Load() != 0 || w.Own() != 0 {
		t.Errorf("the zero value is %d, %d", w.Load(), w.Own())
	}
	for _, n := range []uint64{1, 1<<63 | 1, 0} {
		w.Set(n)
		if w.Load() != n || w.Own() != n {
			t.Errorf("after Set of %#x it is %#x, %#x", n, w.Load(), w.Own())
		}
		w.Publish(^n)
		if w.Load() != ^n || w.Own() != ^n {
			t.Errorf("after Publish of %#x it is %#x, %#x", ^n, w.Load(), w.Own())
		}
	}
}

// A reader sees values that were written, both halves of the same one.
func TestReadersSeeWholeValues(t *testing.T) {
	var w Word
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if n := w.Load(); n>>32 != n&(1<<32-1) {
					t.Errorf("it is %#x", n)
					return
				}
				runtime.Gosched()
			}
		})
	}
	for n := range uint64(5000) {
		w.Set(n<<32 | n)
		if w.Own() != n<<32|n {
			t.Errorf("the writer reads %#x", w.Own())
		}
		if n%64 == 0 {
			runtime.Gosched()
		}
	}
	close(stop)
	readers.Wait()
}

// What was written before Publish, a plain variable, belongs to the one that has seen the number.
func TestPublish(t *testing.T) {
	for n := range uint64(200) {
		var w Word
		var data [4]uint64
		done := make(chan uint64)
		go func() {
			for w.Load() == 0 {
				runtime.Gosched()
			}
			done <- data[0] + data[3]
		}()
		data[0], data[3] = n, 1
		w.Publish(1)
		if got := <-done; got != n+1 {
			t.Fatalf("round %d: the reader has %d", n, got)
		}
	}
}

// A method of a word costs what a variable does: neither allocates.
func TestWordAllocatesNothing(t *testing.T) {
	var w Word
	if n := testing.AllocsPerRun(100, func() { w.Set(w.Own() + 1); w.Publish(w.Load() + 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
