//go:build linux

package main

// pattern is an endless sequence of bytes that is the same for all with one seed: a
// byte that is lost, repeated or out of order shows immediately.
type pattern uint64

func (p *pattern) next() byte {
	*p = *p*6364136223846793005 + 1442695040888963407
	return byte(*p >> 56)
}

func (p *pattern) fill(b []byte) {
	for i := range b {
		b[i] = p.next()
	}
}

// check reports whether b is what comes next.
func (p *pattern) check(b []byte) bool {
	for i := range b {
		if b[i] != p.next() {
			return false
		}
	}
	return true
}
