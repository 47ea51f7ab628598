//go:build linux

package file

import "testing"

// Requests that follow each other immediately, whichever way they take, let the rest of the loop run.
func TestRequestsLetTheLoopGoOn(t *testing.T) {
	eachVariant(t, func(t *testing.T, s *setup) {
		f := s.open(s.create(make([]byte, 1<<16)), 0)
		calls, ran := 0, false
		r := &Request{Buf: f.Buffer(4096)}
		r.Done = func(r *Request) {
			if calls++; !ran && calls < 10000 {
				s.must(f.Read(r))
			}
		}
		s.must(f.Read(r))
		s.must(s.loop.ScheduleOnce(func() { ran = true }))
		s.until(func() bool { return ran })
		if calls > 10 {
			t.Errorf("a bottom half had to wait for %d requests", calls)
		}
		for calls < 10000 && r.file != nil {
			_, err := s.loop.Poll()
			s.must(err)
		}
	})
}
