package uring

import (
	"encoding/binary"
	"math"
	"testing"
	"unsafe"
)

// FuzzCompletionQueue: whatever the kernel writes, and wherever in the 32 bits head
// and tail are, each entry is seen once, in order, and as it was written (struct
// io_uring_cqe: user_data, res, flags).
func FuzzCompletionQueue(f *testing.F) {
	f.Add(uint32(0), uint8(1), make([]byte, 16))
	f.Add(uint32(math.MaxUint32-1), uint8(2), []byte("0123456789abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQR"))
	f.Add(uint32(math.MaxInt32), uint8(0), []byte{15: 0xff})
	f.Fuzz(func(t *testing.T, head uint32, log uint8, written []byte) {
		size := uint32(1) << (log % 5)
		n := min(uint32(len(written)/16), size)
		shared := newCompletions(head, size)
		for i := range n {
			shared.write(written[16*i : 16*i+16])
		}
		r := Ring{cq: shared.queue()}
		for i := range n {
			checkCQE(t, r.Peek(), written[16*i:16*i+16])
			checkCQE(t, r.Peek(), written[16*i:16*i+16]) // until it was seen
			r.Seen()
		}
		if c := r.Peek(); c != nil || shared.head != shared.tail {
			t.Errorf("after %d entries there is %+v; head %d, tail %d", n, c, shared.head, shared.tail)
		}
	})
}

// completions is the kernel's side of a completion queue.
type completions struct {
	head, tail uint32
	memory     []CQE
}

func newCompletions(head, size uint32) *completions {
	return &completions{head: head, tail: head, memory: make([]CQE, size)}
}

func (c *completions) write(entry []byte) {
	place := &c.memory[c.tail%uint32(len(c.memory))]
	copy(unsafe.Slice((*byte)(unsafe.Pointer(place)), unsafe.Sizeof(*place)), entry)
	c.tail++
}

func (c *completions) queue() completionQueue {
	return completionQueue{head: &c.head, tail: &c.tail, entries: c.memory}
}

func checkCQE(t *testing.T, c *CQE, want []byte) {
	t.Helper()
	order := binary.NativeEndian
	if c == nil {
		t.Fatalf("an entry is missing: %x", want)
	}
	if c.UserData() != order.Uint64(want) || uint32(c.Result()) != order.Uint32(want[8:]) || c.Flags() != order.Uint32(want[12:]) {
		t.Errorf("%x was read as %#x, %d, %#x", want, c.UserData(), c.Result(), c.Flags())
	}
}
