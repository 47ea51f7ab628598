//go:build linux

package aio_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/aioloop/aioloop/aio"
)

// A heartbeat, until a time is over.
func ExampleContext_Every() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	ctx, stop := context.WithCancel(context.Background())
	beats := 0
	heartbeat, err := loop.Every(5*time.Millisecond, func(missed int) { beats += 1 + missed })
	if err != nil {
		log.Fatal(err)
	}
	if _, err := loop.AfterFunc(52*time.Millisecond, stop); err != nil {
		log.Fatal(err)
	}
	fmt.Println(loop.Run(ctx))
	heartbeat.Stop()
	fmt.Println(beats >= 10) // those that a busy machine has missed are counted
	// Output:
	// <nil>
	// true
}
