package ppoll

import (
	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
)

var _ backend.Queryable = (*Poller)(nil)

// Query implements backend.Queryable. After Close it appends nothing.
func (p *Poller) Query(fds []unix.PollFd) []unix.PollFd {
	if p.update() != nil {
		return fds
	}
	p.queried = p.version
	start := len(fds)
	fds = append(fds, p.set...)
	for i := start; i < len(fds); i++ {
		fds[i].Revents = 0
	}
	return fds
}

// Collect implements backend.Queryable. It clears the POLLNVAL of what has left the set
// since Query: Remove and then close(2), on another goroutine, is no error. Only Query and Wait change the poll set. If
// Wait has done so since Query, in a nested iteration, the answers of the foreign
// loop are old, and perhaps about another file with the same number; the next turn
// brings new ones.
func (p *Poller) Collect(ready []backend.Ready, fds []unix.PollFd) int {
	p.forgive(fds)
	if p.queried != p.version || len(fds) != len(p.set) {
		return 0
	}
	n := 0
	for i := range p.set {
		p.set[i].Revents = 0
		if fds[i].Fd == p.set[i].Fd && fds[i].Revents != 0 {
			p.set[i].Revents = fds[i].Revents
			n++
		}
	}
	return p.collect(ready, n)
}

// forgive clears POLLNVAL, except where a registered descriptor is still not open.
func (p *Poller) forgive(fds []unix.PollFd) {
	for i := range fds {
		if fds[i].Revents&unix.POLLNVAL != 0 && !p.lost(int(fds[i].Fd)) {
			fds[i].Revents = 0
		}
	}
}

// lost reports whether fd was closed while it is registered.
func (p *Poller) lost(fd int) bool {
	p.table.Lock()
	defer p.table.Unlock()
	if _, registered := p.table.Registered(fd); !registered {
		return false
	}
	_, err := sys.CheckPollable(fd)
	return err == unix.EBADF
}
