//go:build linux

// Command soak runs everything that a Context can do, all together and for as long as
// one likes, and checks that nothing is lost, late, early, repeated or leaked.
//
//	go run ./internal/soak -duration 10m
//	go run ./internal/soak -duration 1m -backend io_uring -seed 42
//	go run ./internal/soak -duration 10m -backend epoll -only files -engine threads
//
// The backends that work here are taken one after the other, -duration each. Of each
// it prints one line. The exit status is 1 if an invariant was violated, and 2 if a
// backend that was asked for cannot run or if the call itself is wrong.
//
// Files: run.go is the order of events, station.go a Context and who runs it,
// debt.go and report.go what is checked and counted, watchdog.go and vitals.go who
// looks; the others are the actors, one kind of event each.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/file"
	"github.com/aioloop/aioloop/mainloop"
)

// The exit statuses.
const (
	exitFailed = 1 // an invariant
	exitCannot = 2 // a backend cannot run here, or the call is wrong
)

func main() {
	// One of the two signals comes by a signalfd, the other by way of os/signal.
	if err := mainloop.ReexecBlocked(syscall.SIGUSR2); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err, "(SIGUSR2 will come by way of os/signal)")
	}
	os.Exit(command(os.Args[1:], os.Stdout, os.Stderr))
}

// command is main without the process. It returns the exit status.
func command(args []string, stdout, stderr io.Writer) int {
	cfg := defaults()
	cfg.log = stderr
	set := flag.NewFlagSet("soak", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.DurationVar(&cfg.duration, "duration", cfg.duration, "how long, for each backend")
	set.Int64Var(&cfg.seed, "seed", time.Now().UnixNano(), "of everything that is random")
	set.DurationVar(&cfg.bound, "bound", cfg.bound, "the longest that a dispatch may take")
	names := set.String("backend", "all", "ppoll, epoll, io_uring, several with commas, or all that work here")
	set.StringVar(&cfg.only, "only", "", "files: files and the thread pool; events: all but these (default everything)")
	set.Func("engine", "of files: auto, io_uring, linux-aio or threads (default all that the backend can have)", func(name string) error {
		var e file.Engine
		err := e.Set(name)
		cfg.engine = e.String()
		return err
	})
	if err := set.Parse(args); err != nil || set.NArg() > 0 || cfg.duration <= 0 || cfg.bound <= 0 {
		return exitCannot
	}
	if cfg.only != "" && cfg.only != onlyFiles && cfg.only != onlyEvents {
		fmt.Fprintf(stderr, "soak: -only %s: choose %s or %s\n", cfg.only, onlyFiles, onlyEvents)
		return exitCannot
	}
	backends, err := choose(*names, stderr)
	if err == nil {
		err = cfg.fits(backends)
	}
	if err != nil {
		fmt.Fprintln(stderr, "soak:", err)
		return exitCannot
	}
	return soakAll(cfg, backends, stdout)
}

func soakAll(cfg config, backends []aio.Backend, stdout io.Writer) (status int) {
	fmt.Fprintf(stdout, "soak: seed %d, %v for each of %v\n", cfg.seed, cfg.duration, backends)
	for _, b := range backends {
		cfg.backend = b
		v := soak(cfg)
		fmt.Fprintln(stdout, v.line())
		for _, problem := range v.problems {
			fmt.Fprintln(stdout, "    "+problem)
		}
		if len(v.problems) > 0 {
			status = exitFailed
		}
		if v.hung { // it would be in the way of the next one
			return status
		}
	}
	return status
}

// choose returns the backends to run. Those that were not named may be unavailable.
func choose(names string, stderr io.Writer) (backends []aio.Backend, err error) {
	if names != "all" {
		for name := range strings.SplitSeq(names, ",") {
			var b aio.Backend
			if err := b.Set(name); err != nil {
				return nil, err
			}
			if err := try(b); err != nil {
				return nil, err
			}
			backends = append(backends, b)
		}
		return backends, nil
	}
	for _, b := range []aio.Backend{aio.Ppoll, aio.Epoll, aio.IOUring} {
		switch err := try(b); {
		case err == nil:
			backends = append(backends, b)
		case errors.Is(err, backend.ErrUnavailable):
			fmt.Fprintf(stderr, "soak: without %v: %v\n", b, err)
		default:
			return nil, err
		}
	}
	return backends, nil
}

// fits reports an engine that one of the backends cannot have.
func (c *config) fits(backends []aio.Backend) error {
	if c.engine == file.EngineIOUring.String() && slices.ContainsFunc(backends, func(b aio.Backend) bool { return b != aio.IOUring }) {
		return fmt.Errorf("-engine io_uring needs the backend io_uring: give -backend io_uring, not %v", backends)
	}
	return nil
}

func try(b aio.Backend) error {
	loop, err := aio.New(aio.WithBackend(b))
	if err != nil {
		return err
	}
	return loop.Close()
}
