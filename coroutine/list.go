//go:build linux

package coroutine

// list is a queue of coroutines that are in no other one.
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

// remove reports whether co was in the list.
func (l *list) remove(co *Co) bool {
	var before *Co
	for c := l.first; c != nil; before, c = c, c.next {
		if c != co {
			continue
		}
		if before == nil {
			l.first = co.next
		} else {
			before.next = co.next
		}
		if l.last == co {
			l.last = before
		}
		co.next = nil
		return true
	}
	return false
}
