//go:build linux

package aio

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/epoll"
	"github.com/aioloop/aioloop/backend/iouring"
	"github.com/aioloop/aioloop/backend/ppoll"
	"github.com/aioloop/aioloop/internal/feature"
)

// BackendEnv is the environment variable that chooses the backend of a Context
// that is made with Auto, which is the default.
const BackendEnv = "AIOLOOP_BACKEND"

// Backend is the choice of a kernel interface. *Backend is a flag.Value and an
// encoding.TextUnmarshaler, so that it can be a command line flag or a field of a
// configuration file.
type Backend int

// The backends. A choice other than Auto never falls back: New fails if it is not
// available.
const (
	Auto    Backend = iota // the best one that works here, see Context.Backend
	Ppoll                  // ppoll(2): everywhere; costs grow with the number of descriptors
	Epoll                  // epoll(7): everywhere; costs do not grow
	IOUring                // io_uring(7): fewest system calls; the home goroutine is locked to its thread
)

var backendNames = [...]string{Auto: "auto", Ppoll: ppoll.Name, Epoll: epoll.Name, IOUring: iouring.Name}

// String returns the name: "auto", "ppoll", "epoll" or "io_uring".
func (b Backend) String() string {
	if b < 0 || int(b) >= len(backendNames) {
		return fmt.Sprintf("Backend(%d)", int(b))
	}
	return backendNames[b]
}

// Set implements flag.Value. Capitals, and whether io_uring is written io-uring or iouring,
// make no difference.
func (b *Backend) Set(name string) error {
	for i, known := range backendNames {
		if spelling(name) == spelling(known) {
			*b = Backend(i)
			return nil
		}
	}
	return fmt.Errorf("aio: unknown backend %q: choose one of %s", name, strings.Join(backendNames[:], ", "))
}

// spelling is what a name has to have in common with that of a backend.
func spelling(name string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name))
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Backend) UnmarshalText(text []byte) error { return b.Set(string(text)) }

// MarshalText implements encoding.TextMarshaler.
func (b Backend) MarshalText() ([]byte, error) {
	if b < 0 || int(b) >= len(backendNames) {
		return nil, fmt.Errorf("aio: unknown backend %d", int(b))
	}
	return []byte(b.String()), nil
}

// BackendInfo says which backend is live and why it was chosen.
type BackendInfo struct {
	Name   string // the Poller's name
	Reason string // a sentence for people
}

// String returns "epoll (asked for)", for example.
func (i BackendInfo) String() string { return i.Name + " (" + i.Reason + ")" }

// open makes the Poller that was chosen by the option, the environment or, if both
// leave it open, by what works here; and says why.
func (b Backend) open(m Mode) (p backend.Poller, reason string, err error) {
	b, reason, err = b.fromEnvironment()
	if err != nil {
		return nil, "", err
	}
	if b == Auto {
		return openBest(m)
	}
	if p, err = b.openExactly(m); err != nil {
		return nil, "", fmt.Errorf("aio: %w", err)
	}
	return p, reason, nil
}

// fromEnvironment has the environment decide what the option leaves open.
func (b Backend) fromEnvironment() (chosen Backend, reason string, err error) {
	name := os.Getenv(BackendEnv)
	if b != Auto || name == "" {
		return b, "asked for", nil
	}
	if err := b.Set(name); err != nil {
		return b, "", fmt.Errorf("%w (from the environment variable %s)", err, BackendEnv)
	}
	return b, "asked for by " + BackendEnv, nil
}

func (b Backend) openExactly(m Mode) (backend.Poller, error) {
	switch b {
	case Ppoll:
		return ppoll.New(), nil
	case Epoll:
		return epoll.New()
	case IOUring:
		if m == ModePark {
			return iouring.NewUnbound()
		}
		return iouring.New()
	}
	return nil, fmt.Errorf("unknown backend %v", b)
}

// openBest tries the backends from the best to the most modest. It goes on only
// when one is unavailable, and remembers why.
func openBest(m Mode) (p backend.Poller, reason string, err error) {
	var reasons []string
	for _, b := range m.backends() {
		p, err := b.openIfGood(m)
		if err == nil {
			best := "the best that works here"
			if m == ModePark {
				best += " in park mode"
			}
			return p, strings.Join(append(reasons, best), "; "), nil
		}
		if !errors.Is(err, backend.ErrUnavailable) {
			return nil, "", fmt.Errorf("aio: %w", err)
		}
		reasons = append(reasons, err.Error())
	}
	return nil, "", fmt.Errorf("aio: no backend for %s mode: %s: %w", m, strings.Join(reasons, "; "), backend.ErrUnavailable)
}

// backends are what Auto chooses from, the best first. An io_uring that belongs to
// no thread interrupts one for each completion, so epoll is the better one to park on.
func (m Mode) backends() []Backend {
	if m == ModePark {
		return []Backend{Epoll, IOUring}
	}
	return []Backend{IOUring, Epoll, Ppoll}
}

// openIfGood passes over an io_uring without DEFER_TASKRUN: there, completions
// interrupt the home thread while it runs, and epoll is the faster of the two.
func (b Backend) openIfGood(m Mode) (backend.Poller, error) {
	if b == IOUring && m == ModeThread && feature.IOUring.Works() && lacks(feature.DeferTaskrun) {
		_, err := feature.DeferTaskrun.Check()
		return nil, &backend.UnavailableError{Backend: iouring.Name, Op: "auto", Err: err, Causes: []error{backend.ErrKernel}}
	}
	return b.openExactly(m)
}

// lacks reports whether the kernel does not offer f. A probe for which there was no memory
// does not tell: New waits for it, or says that it is missing.
func lacks(f *feature.Feature) bool {
	outcome, _ := f.Check()
	return outcome == feature.NotSupported
}
