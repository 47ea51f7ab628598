// Supervisor runs a command, prints what the command prints, and starts it again when it
// fails. The end of the command is an event of a pidfd(2), its output one of a pipe.
//
//	go run ./examples/supervisor sh -c 'echo hello; exit 3'
//
// Control-C ends the command, and then the supervisor.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/aioloop/aioloop/aio"
)

// grace is how long a command may take to end when it is asked to.
const grace = 5 * time.Second

func main() {
	log.SetFlags(0)
	if os.Args[0] == cleanExec {
		log.Fatal("supervisor: ", executeClean(os.Args[1:]))
	}
	var backend aio.Backend
	flag.Var(&backend, "backend", "auto, ppoll, epoll or io_uring")
	s := &supervisor{}
	flag.IntVar(&s.restarts, "restarts", 3, "how often to start it again")
	flag.DurationVar(&s.pause, "pause", 100*time.Millisecond, "how long to wait before that")
	flag.Parse()
	if s.args = flag.Args(); len(s.args) == 0 {
		log.Fatal("usage: supervisor [flags] command [argument...]")
	}
	if err := s.run(backend); err != nil {
		log.Fatal("supervisor: ", err)
	}
}

// supervisor belongs to the loop's home goroutine, once it runs.
type supervisor struct {
	args     []string
	restarts int
	pause    time.Duration

	loop     *aio.Context
	again    *aio.Timer // starts the command
	kill     *aio.Timer // when it takes too long to end
	child    *child     // nil while there is none
	stopping bool
	finish   context.CancelCauseFunc // ends Run
}

var errDone = errors.New("done")

func (s *supervisor) run(backend aio.Backend) (err error) {
	// The loop's thread is more punctual than others. What it starts would be, too.
	s.loop, err = aio.New(aio.WithBackend(backend), aio.WithThread(aio.Thread{TimerSlack: time.Microsecond}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.loop.Close()) }()
	ctx, finish := context.WithCancelCause(context.Background())
	s.finish = finish
	interrupted, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()

	s.again = s.loop.NewTimer(aio.Realtime, s.start).Named("start")
	s.kill = s.loop.NewTimer(aio.Realtime, func() { s.child.signal(syscall.SIGKILL) }).Named("kill")
	s.again.Reset(0)
	err = s.loop.Run(interrupted)
	if err == nil && ctx.Err() == nil {
		stop() // a second Control-C ends the supervisor as it ends any program
		s.stop()
		err = s.loop.Run(ctx)
	}
	if err != nil {
		return err
	}
	if err := context.Cause(ctx); err != errDone {
		return err
	}
	return nil
}

// start starts the command on another goroutine. A child inherits from the thread that
// makes it what WithThread sets: CPUs, nice value, real-time class, timer slack. Go runs
// other goroutines on threads that have nothing of it.
func (s *supervisor) start() {
	go func() {
		c, err := startChild(s.args)
		if s.loop.ScheduleOnce(func() { s.started(c, err) }) != nil && err == nil { // nothing waits for it
			c.kill()
		}
	}()
}

func (s *supervisor) started(c *child, err error) {
	if err == nil {
		if err = c.watch(s.loop, s.exited); err != nil {
			c.kill()
		}
	}
	if err != nil {
		s.finish(err)
		return
	}
	fmt.Println("started", c.cmd.Process.Pid)
	s.child = c
	if s.stopping {
		s.stop()
	}
}

// exited decides how it goes on. err is nil if the command has succeeded.
func (s *supervisor) exited(err error) {
	s.child = nil
	s.kill.Stop()
	switch {
	case err == nil:
		fmt.Println("success")
		s.finish(errDone)
	case s.stopping:
		fmt.Println(err)
		s.finish(errDone)
	case s.restarts > 0:
		s.restarts--
		fmt.Printf("%v, again in %v\n", err, s.pause)
		s.again.Reset(s.pause)
	default:
		s.finish(fmt.Errorf("%s: %w, and so before", s.args[0], err))
	}
}

// stop asks the child to end, and kills it if that takes long.
func (s *supervisor) stop() {
	s.stopping = true
	switch {
	case s.child != nil:
		s.child.signal(syscall.SIGTERM)
		s.kill.Reset(grace)
	case s.again.Stop():
		s.finish(errDone)
	} // otherwise it is about to start
}
