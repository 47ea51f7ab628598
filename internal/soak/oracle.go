//go:build linux

package main

import (
	"math"
	"slices"
)

// oracle knows what a file contains. A request holds its bytes while it is under way: reads share
// theirs, a change has them alone. So there is one right answer for each byte that a read
// returns, and requests may still be neighbours to the byte.
type oracle struct {
	data []byte
	held []*span
}

// span is bytes that a request holds.
type span struct {
	from, to int64
	change   bool
}

// hold returns nil if another request is in the way. What goes past the end of the file holds all
// that is behind it, too: the size is what such reads depend on, and what such changes move.
func (o *oracle) hold(from, length int64, change bool) *span {
	s := &span{from, from + length, change}
	if s.to > o.size() {
		s.to = math.MaxInt64
	}
	for _, h := range o.held {
		if s.from < h.to && h.from < s.to && (s.change || h.change) {
			return nil
		}
	}
	o.held = append(o.held, s)
	return s
}

func (o *oracle) release(s *span) {
	i := slices.Index(o.held, s)
	o.held = slices.Delete(o.held, i, i+1)
}

func (o *oracle) size() int64 { return int64(len(o.data)) }

// growing reports whether the size may be another one by now.
func (o *oracle) growing() bool {
	return slices.ContainsFunc(o.held, func(s *span) bool { return s.change && s.to == math.MaxInt64 })
}

// written notes that b is at offset now.
func (o *oracle) written(offset int64, b []byte) {
	if len(b) > 0 {
		o.grow(offset + int64(len(b)))
		copy(o.data[offset:], b)
	}
}

// zeroed notes that length bytes at offset are zero now.
func (o *oracle) zeroed(offset, length int64) {
	o.grow(offset + length)
	clear(o.data[offset : offset+length])
}

// grow makes the file size bytes long, if it is shorter.
func (o *oracle) grow(size int64) {
	if more := size - o.size(); more > 0 {
		o.data = append(o.data, make([]byte, more)...)
	}
}

// at returns what a read of n bytes finds, fewer at the end.
func (o *oracle) at(offset, n int64) []byte {
	from := min(offset, o.size())
	return o.data[from:min(offset+n, o.size())]
}
