//go:build linux

package main

import (
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"github.com/aioloop/aioloop/mainloop"
)

// signalNumbers are those that the process sends to itself. Started by main, SIGUSR2
// is blocked and comes by a signalfd.
var signalNumbers = []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2}

// signals come about 200 times a second each. Those that come close together are one.
func signals(s *station, main *mainloop.Loop) error {
	for _, sig := range signalNumbers {
		d := s.newDebt("signal %v", sig)
		h, err := main.Signals().Handle(sig, func(mainloop.SignalInfo) {
			s.called(d.name)
			d.arrive()
			s.rep.counts.signals.Add(1)
		})
		if err != nil {
			return err
		}
		kill := func() { s.rep.must(d.name, syscall.Kill(os.Getpid(), sig)) }
		s.producer(func(r *rand.Rand) {
			d.publish()
			kill()
			time.Sleep(time.Duration(r.IntN(8)) * time.Millisecond)
		})
		s.singles = append(s.singles, single{d, kill})
		s.closers = append(s.closers, func() { s.rep.must(d.name, h.Close()) })
	}
	return nil
}
