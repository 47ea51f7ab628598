// Alarm is a main loop that reacts to signals: kill -s ALRM, from another terminal.
// ctrl-C ends it.
//
//	go run ./examples/alarm
//	AIOLOOP_BACKEND=epoll go run ./examples/alarm
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"syscall"

	"github.com/aioloop/aioloop/mainloop"
)

func main() {
	mainloop.ReexecBlocked(syscall.SIGALRM) // so that the kernel tells who has sent it
	loop, err := mainloop.Init()
	if err != nil {
		log.Fatal(err)
	}
	loop.Signals().Handle(syscall.SIGALRM, func(s mainloop.SignalInfo) { fmt.Println(s.Signal, "from", s.PID) })
	fmt.Println("try kill -s ALRM", os.Getpid())
	log.Fatal(loop.Run(context.Background()))
}
