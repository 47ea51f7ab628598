// Hello makes a loop, hands it work from another goroutine, and stops it with a
// timer.
//
//	go run ./examples/hello
//	go run ./examples/hello -backend epoll
//	AIOLOOP_BACKEND=ppoll go run ./examples/hello
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"time"

	"github.com/aioloop/aioloop/aio"
)

func main() {
	var backend aio.Backend // aio.Auto, unless -backend says otherwise
	flag.Var(&backend, "backend", "auto, ppoll, epoll or io_uring")
	flag.Parse()

	loop, err := aio.New(aio.WithBackend(backend))
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	fmt.Println("waiting with", loop.Backend())

	ctx, stop := context.WithCancel(context.Background())
	timer := loop.NewTimer(aio.Realtime, stop)
	hello := loop.NewBottomHalf(func() {
		fmt.Println("hello from the loop")
		timer.Reset(500 * time.Microsecond)
	})
	go hello.Schedule() // from any goroutine
	loop.Run(ctx)       // until stop is called
}
