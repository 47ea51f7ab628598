package mainloop_test

import (
	"context"
	"fmt"
	"log"
	"syscall"

	"github.com/aioloop/aioloop/mainloop"
)

// Send it signals with kill -s ALRM, and end it with kill -s TERM.
func ExampleSignals() {
	if err := mainloop.ReexecBlocked(syscall.SIGALRM); err != nil {
		log.Print(err) // signals come through os/signal, without their sender
	}
	loop, err := mainloop.Init(mainloop.WithSignals(syscall.SIGALRM, syscall.SIGTERM))
	if err != nil {
		log.Fatal(err)
	}
	_, err = loop.Signals().Handle(syscall.SIGALRM, func(info mainloop.SignalInfo) {
		fmt.Println("alarm from pid", info.PID)
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = loop.Signals().Handle(syscall.SIGTERM, func(info mainloop.SignalInfo) {
		loop.Stop(fmt.Errorf("%v", info.Signal))
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Print(loop.Run(context.Background()))
	if err := loop.Close(); err != nil {
		log.Fatal(err)
	}
}
