package iouring

import (
	"encoding/binary"
	"math"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/internal/fdtable"
	"github.com/aioloop/aioloop/internal/uring"
)

// FuzzUserData: kind, index and 30 bits of the generation come back from the kernel,
// and nothing else of the key gets into the kind.
func FuzzUserData(f *testing.F) {
	f.Add(uint8(0), uint32(0), uint32(0))
	f.Add(uint8(1), uint32(math.MaxUint32), uint32(math.MaxUint32))
	f.Add(uint8(2), uint32(1), uint32(1<<30))
	f.Fuzz(func(t *testing.T, which uint8, index, generation uint32) {
		kind := []uint64{kindPoll, kindOperation, kindOther}[which%3]
		data := userData(kind, fdtable.Key{Index: index, Generation: generation})
		if data&kindMask != kind || uint32(data) != index || uint32(data>>32)&generationMask != generation&generationMask {
			t.Errorf("kind %#x, index %#x, generation %#x became %#x", kind, index, generation, data)
		}
		if next := userData(kind, fdtable.Key{Index: index, Generation: generation + 1}); next == data {
			t.Errorf("%#x names two generations", data)
		}
	})
}

// What FuzzCompletions plays with: three registrations and three operations.
const fuzzSlots = 3

func fuzzFDs(f *testing.F) (fds [fuzzSlots]int) {
	f.Helper()
	for i := range fds {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			f.Fatal(err)
		}
		f.Cleanup(func() { unix.Close(fd) })
		fds[i] = fd
	}
	return fds
}

func fuzzPoller(t *testing.T, fds [fuzzSlots]int) *Poller {
	t.Helper()
	p := &Poller{table: fdtable.New[request](Name)}
	p.table.Lock()
	defer p.table.Unlock()
	for i, fd := range fds {
		key, s, err := p.table.Add(fd, backend.In, backend.MakeTag(uint32(i), 7))
		must(t, err)
		s.X.armed, s.X.generation = true, key.Generation
		p.ops.begin(&backend.Request{Data: uint32(i)})
		p.ops.slots[i].cancelled = true // so that ECANCELED ends it, too
	}
	// The second one was changed, the third removed, after their requests.
	_, _, err := p.table.Modify(fds[1], backend.In, backend.MakeTag(1, 9))
	must(t, err)
	_, _, err = p.table.Remove(fds[2])
	must(t, err)
	return p
}

// FuzzCompletions: completions that are late, doubled or unknown reach no
// registration and no operation but their own, and each operation ends once.
func FuzzCompletions(f *testing.F) {
	entry := func(kind uint64, index, generation uint32, result int32, flags uint32) []byte {
		b := binary.LittleEndian.AppendUint64(nil, userData(kind, fdtable.Key{Index: index, Generation: generation}))
		b = binary.LittleEndian.AppendUint32(b, uint32(result))
		return binary.LittleEndian.AppendUint32(b, flags)
	}
	for i := range uint32(fuzzSlots + 1) {
		once := entry(kindPoll, i, 1, int32(backend.In), 0)
		f.Add(append(once, once...))
		f.Add(append(entry(kindPoll, i, 1, 1, uring.CQEMore), entry(kindPoll, i, 1, math.MinInt32, 0)...))
		done := entry(kindOperation, i, 1, -125, 0)
		f.Add(append(done, done...))
		f.Add(entry(kindOperation, i, 1|1<<29, 8, 0))
	}
	f.Add(entry(kindOther, 1, 0, -62, 0))
	fds := fuzzFDs(f)
	f.Fuzz(func(t *testing.T, entries []byte) {
		p := fuzzPoller(t, fds)
		model := fuzzModel{polling: [fuzzSlots]bool{true, true, true}, running: [fuzzSlots]bool{true, true, true}}
		entries = entries[:min(len(entries), 32*16)]
		for ; len(entries) >= 16; entries = entries[16:] {
			order := binary.LittleEndian
			model.feed(t, p, order.Uint64(entries), int32(order.Uint32(entries[8:])), order.Uint32(entries[12:]))
		}
		if p.ops.live != model.live() || count(p) != fuzzSlots-p.ops.live {
			t.Errorf("%d operations live and %d done, want %d live", p.ops.live, count(p), model.live())
		}
		for i := range uint32(fuzzSlots) { // what is left still ends, which lets go of its request
			model.feed(t, p, userData(kindOperation, fdtable.Key{Index: i, Generation: 1}), 0, 0)
		}
		if p.ops.live != 0 || count(p) != fuzzSlots {
			t.Errorf("in the end %d operations are live and %d done", p.ops.live, count(p))
		}
	})
}

// count returns how many requests are done, and last the last of them.
func count(p *Poller) (n int) {
	for r := p.ops.done.First(); r != nil; r = r.Next() {
		n++
	}
	return n
}

func last(p *Poller) (last *backend.Request) {
	last = new(backend.Request)
	for r := p.ops.done.First(); r != nil; r = r.Next() {
		last = r
	}
	return last
}

// fuzzModel is what may be expected: the first generation of each slot.
type fuzzModel struct {
	polling, running [fuzzSlots]bool
}

func (m *fuzzModel) live() (n int) {
	for _, running := range m.running {
		if running {
			n++
		}
	}
	return n
}

func (m *fuzzModel) feed(t *testing.T, p *Poller, data uint64, result int32, flags uint32) {
	t.Helper()
	i := uint32(data)
	mine := i < fuzzSlots && data&^kindMask == userData(0, fdtable.Key{Index: i, Generation: 1})
	switch data & kindMask {
	case kindPoll:
		events, s := p.polled(data, result, flags)
		m.checkPolled(t, mine && m.polling[i], data, result, events, s)
		if mine && flags&uring.CQEMore == 0 {
			m.polling[i] = false
		}
		if mine && p.table.At(i).X.armed != m.polling[i] {
			t.Errorf("slot %d: armed is %v, want %v", i, p.table.At(i).X.armed, m.polling[i])
		}
	case kindOperation:
		before := count(p)
		p.ops.complete(data, result, flags)
		ends := mine && m.running[i]
		if last := last(p); (count(p) > before) != ends || ends && (last.Data != i || last.Result != result) {
			t.Errorf("%#x: the last one done is %v of %v", data, last, last.Data)
		}
		if ends {
			m.running[i] = false
		}
	}
}

// checkPolled: only the first slot has neither changed nor gone.
func (m *fuzzModel) checkPolled(t *testing.T, expected bool, data uint64, result int32, events backend.Events, s *fdtable.Slot[request]) {
	t.Helper()
	if events != 0 && !(expected && uint32(data) == 0) {
		t.Errorf("%#x: result %d has reached somebody: %v, %+v", data, result, events, s)
	}
	if events != 0 && s.Tag != backend.MakeTag(0, 7) {
		t.Errorf("%#x has reached %#x", data, s.Tag)
	}
	if expected && uint32(data) == 0 && result > 0 && backend.Events(result)&backend.In != 0 && events&backend.In == 0 {
		t.Errorf("%#x: result %#x is lost, %v is left", data, result, events)
	}
}
