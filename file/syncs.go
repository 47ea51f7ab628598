//go:build linux

package file

import "slices"

// syncs are the Syncs of a file that are under way. If data is lost, Linux says so to one of those that run at
// the same time, and the others succeed: whichever looks first. So one that has succeeded waits for those
// that it has overlapped. It belongs to the home goroutine.
type syncs struct {
	begun   uint64 // how many
	running []uint64
	held    []*Request // that have succeeded
}

// begin gives r its number.
func (s *syncs) begin(r *Request) {
	s.begun++
	r.sync, r.overlapped = s.begun, 0
	s.running = append(s.running, r.sync)
}

// ends takes notice of the end of r. It reports false if r has to wait for others.
func (s *syncs) ends(r *Request, succeeds bool) bool {
	if r.overlapped == 0 { // not after it has waited
		s.running = slices.DeleteFunc(s.running, func(n uint64) bool { return n == r.sync })
		r.overlapped = s.begun
	}
	if !succeeds || !s.runs(r.overlapped) {
		return true
	}
	r.way = inLoop // there is nothing that Cancel could end
	s.held = append(s.held, r)
	return false
}

// runs reports whether one of the first n does.
func (s *syncs) runs(n uint64) bool {
	return slices.ContainsFunc(s.running, func(sync uint64) bool { return sync <= n })
}

// release has those end that need not wait any more.
func (f *File) release() {
	s := &f.syncs
	s.held = slices.DeleteFunc(s.held, func(r *Request) bool {
		over := f.lost != nil || !s.runs(r.overlapped)
		if over {
			f.answer(r, 0)
		}
		return over
	})
}
