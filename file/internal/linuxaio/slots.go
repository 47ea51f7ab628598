//go:build linux

package linuxaio

// slots are the Requests that the kernel has. What it is given and gives back is the index of a
// slot and a generation, never a pointer: a completion that comes twice, or is of another
// context, finds nothing.
type slots struct {
	all    []slot
	unused []uint32 // indices
}

type slot struct {
	request    *Request // keeps it and its buffers from the garbage collector
	generation uint32
}

func newSlots(n int) slots {
	s := slots{all: make([]slot, n), unused: make([]uint32, n)}
	for i := range s.unused {
		s.unused[i] = uint32(n - 1 - i)
	}
	return s
}

// room returns how many more the kernel may have, used how many it has.
func (s *slots) room() int { return len(s.unused) }
func (s *slots) used() int { return len(s.all) - len(s.unused) }

// next returns what the kernel is given with the request that is taken after n others.
func (s *slots) next(n int) (data uint64) {
	i := s.unused[len(s.unused)-1-n]
	return uint64(s.all[i].generation)<<32 | uint64(i)
}

// take gives r the next slot.
func (s *slots) take(r *Request) {
	last := len(s.unused) - 1
	r.slot = s.unused[last]
	s.unused = s.unused[:last]
	s.all[r.slot].request = r
}

// find returns the Request in the slot that data names, nil if it is no longer there.
func (s *slots) find(data uint64) *Request {
	i := uint32(data)
	if uint64(i) >= uint64(len(s.all)) || s.all[i].generation != uint32(data>>32) {
		return nil
	}
	return s.all[i].request
}

// free ends the use of r's slot.
func (s *slots) free(r *Request) {
	s.all[r.slot].request = nil
	s.all[r.slot].generation++
	s.unused = append(s.unused, r.slot)
}

// each calls f with each Request that the kernel has.
func (s *slots) each(f func(r *Request)) {
	for i := range s.all {
		if r := s.all[i].request; r != nil {
			f(r)
		}
	}
}
