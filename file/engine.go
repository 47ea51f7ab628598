//go:build linux

package file

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// EngineEnv is the environment variable that chooses the engine of a File for which the option
// leaves it open.
const EngineEnv = "AIOLOOP_FILE"

// Engine is how requests of a File reach the kernel. *Engine is a flag.Value and an
// encoding.TextUnmarshaler.
type Engine int

// The engines. A choice other than EngineAuto never falls back: opening fails if it is not
// available, and all reads and writes go its way.
const (
	EngineAuto     Engine = iota // what is fastest here, see docs/files.md
	EngineIOUring                // operations of the loop's io_uring; needs that backend
	EngineLinuxAIO               // io_submit(2), on any backend; needs O_DIRECT
	EngineThreads                // blocking calls on the loop's thread pool, on any backend
)

var engineNames = [...]string{EngineAuto: "auto", EngineIOUring: "io_uring", EngineLinuxAIO: "linux-aio", EngineThreads: "threads"}

// String returns the name: "auto", "io_uring", "linux-aio" or "threads".
func (e Engine) String() string {
	if e < 0 || int(e) >= len(engineNames) {
		return fmt.Sprintf("Engine(%d)", int(e))
	}
	return engineNames[e]
}

// Set implements flag.Value. Capitals, dashes and underscores make no difference.
func (e *Engine) Set(name string) error {
	for i, known := range engineNames {
		if spelling(name) == spelling(known) {
			*e = Engine(i)
			return nil
		}
	}
	return fmt.Errorf("file: unknown engine %q: choose one of %s", name, strings.Join(engineNames[:], ", "))
}

func spelling(name string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name))
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *Engine) UnmarshalText(text []byte) error { return e.Set(string(text)) }

// MarshalText implements encoding.TextMarshaler.
func (e Engine) MarshalText() ([]byte, error) {
	if e < 0 || int(e) >= len(engineNames) {
		return nil, fmt.Errorf("file: unknown engine %d", int(e))
	}
	return []byte(e.String()), nil
}

// fromEnvironment has the environment decide what the option leaves open.
func (e Engine) fromEnvironment() (chosen Engine, by string, err error) {
	name := os.Getenv(EngineEnv)
	if e != EngineAuto || name == "" {
		return e, "asked for", nil
	}
	if err := e.Set(name); err != nil {
		return e, "", fmt.Errorf("%w (from the environment variable %s)", err, EngineEnv)
	}
	return e, "asked for by " + EngineEnv, nil
}

// EngineInfo says which engine a File has, and why.
type EngineInfo struct {
	Engine Engine
	Reason string // a sentence for people
}

// String returns "io_uring (the loop's backend runs operations)", for example.
func (i EngineInfo) String() string { return i.Engine.String() + " (" + i.Reason + ")" }

// surroundings are what the choice of an engine depends on.
type surroundings struct {
	backend  string       // its name
	runs     bool         // it runs operations: reads, for one
	direct   bool         // the file was opened with O_DIRECT
	linuxAIO func() error // why there is no Linux AIO, nil if there is
}

// live returns the engine that a File gets for the one that was asked for.
func (e Engine) live(s surroundings, by string) (EngineInfo, error) {
	switch e {
	case EngineIOUring:
		if !s.runs {
			return EngineInfo{}, fmt.Errorf("the engine io_uring: the loop's backend is %s: give the loop aio.WithBackend(aio.IOUring), or the file another engine: %w", s.backend, errors.ErrUnsupported)
		}
	case EngineLinuxAIO:
		if !s.direct {
			return EngineInfo{}, fmt.Errorf("the engine linux-aio would block the loop: open the file with O_DIRECT, or give it another engine: %w", unix.EINVAL)
		}
		if err := s.linuxAIO(); err != nil {
			return EngineInfo{}, fmt.Errorf("the engine linux-aio: %w", err)
		}
	case EngineAuto:
		return s.best(), nil
	}
	return EngineInfo{e, by}, nil
}

func (s surroundings) best() EngineInfo {
	switch {
	case s.runs:
		return EngineInfo{EngineIOUring, "the best here: the loop's backend runs operations"}
	case !s.direct:
		return EngineInfo{EngineThreads, "the best here: the backend " + s.backend + " runs no operations, and Linux AIO is for O_DIRECT"}
	}
	if err := s.linuxAIO(); err != nil {
		return EngineInfo{EngineThreads, "the best here: the backend " + s.backend + " runs no operations; " + err.Error()}
	}
	return EngineInfo{EngineLinuxAIO, "the best here for O_DIRECT: the backend " + s.backend + " runs no operations"}
}
