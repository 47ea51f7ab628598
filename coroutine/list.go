//go:build linux

package coroutine

// list is a queue of coroutines that are ready.
type list struct{ first, last *Co }

func (l *list) empty() bool { return l.first == nil }

func (l *list) append(co *Co) {
	if l.first == nil {
		l.first = co
	} else {
		l.last.next = co
	}
	l.last = co
}

// pop returns the first one. The list is not empty.
func (l *list) pop() *Co {
	co := l.first
	l.first, co.next = co.next, nil
	return co
}

// waiters is a queue of coroutines that wait for a lock. One may become ready while it is in there,
// because its wait has failed, and removes itself when it runs.
type waiters struct{ first, last *Co }

func (l *waiters) append(co *Co) {
	if l.first == nil {
		l.first = co
	} else {
		l.last.w.behind = co
	}
	l.last = co
}

// head returns the first one whose wait has not failed, or nil.
func (l *waiters) head() *Co {
	for l.first != nil && l.first.phase != waiting {
		l.drop()
	}
	return l.first
}

// count returns how many there are whose wait has not failed.
func (l *waiters) count() (n int) {
	for co := l.head(); co != nil; co = co.w.behind {
		if co.phase == waiting {
			n++
		}
	}
	return n
}

// drop removes the first one.
func (l *waiters) drop() {
	w := l.first.w
	l.first, w.behind = w.behind, nil
}

// take removes and returns the head, or nil.
func (l *waiters) take() *Co {
	co := l.head()
	if co != nil {
		l.drop()
	}
	return co
}

// remove removes co, if it is in the queue.
func (l *waiters) remove(co *Co) {
	var before *Co
	for c := l.first; c != nil; before, c = c, c.w.behind {
		if c != co {
			continue
		}
		if l.last == co {
			l.last = before
		}
		if before == nil {
			l.drop()
		} else {
			before.w.behind, co.w.behind = co.w.behind, nil
		}
		return
	}
}
