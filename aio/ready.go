//go:build linux

package aio

// readyList is a queue of handlers with events that were not dispatched yet. Each handler
// is in it at most once. It belongs to the home goroutine.
type readyList struct {
	first, last *Handler
}

func (l *readyList) empty() bool { return l.first == nil }

func (l *readyList) append(h *Handler) {
	if h.queued {
		return
	}
	h.queued, h.next = true, nil
	if l.first == nil {
		l.first = h
	} else {
		l.last.next = h
	}
	l.last = h
}

func (l *readyList) prepend(h *Handler) {
	if h.queued {
		return
	}
	h.queued, h.next = true, l.first
	if l.first == nil {
		l.last = h
	}
	l.first = h
}

func (l *readyList) pop() *Handler {
	h := l.first
	if h != nil {
		l.first, h.next, h.queued = h.next, nil, false
	}
	return h
}
