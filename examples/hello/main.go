// Hello makes a loop, hands it work from another goroutine, and stops it with a
// timer.
//
//	go run ./examples/hello
//	AIOLOOP_BACKEND=ppoll go run ./examples/hello
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/aioloop/aioloop/aio"
)

func main() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	fmt.Println("waiting with", loop.Backend())

	ctx, stop := context.WithCancel(context.Background())
	hello := func() {
		fmt.Println("hello from the loop")
		loop.AfterFunc(500*time.Microsecond, stop)
	}
	go loop.ScheduleOnce(hello) // from any goroutine
	loop.Run(ctx)               // until stop is called
}
