//go:build linux

package file

// requests is a queue.
type requests struct{ first, last *Request }

func (q *requests) empty() bool { return q.first == nil }

func (q *requests) push(r *Request) {
	r.next = nil
	if q.first == nil {
		q.first = r
	} else {
		q.last.next = r
	}
	q.last = r
}

// pop returns the first one, nil if there is none.
func (q *requests) pop() *Request {
	r := q.first
	if r != nil {
		if q.first, r.next = r.next, nil; q.first == nil {
			q.last = nil // it may be let go of
		}
	}
	return r
}

// append moves all of other to the end of q.
func (q *requests) append(other *requests) {
	for r := other.pop(); r != nil; r = other.pop() {
		q.push(r)
	}
}
