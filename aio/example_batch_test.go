//go:build linux

package aio_test

import (
	"fmt"
	"log"

	"github.com/aioloop/aioloop/aio"
)

// Three callbacks make a request each; one call sends them all.
func ExampleDeferred() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	requests := 0
	send := loop.NewDeferred(func() { fmt.Println("sent:", requests) })
	for range 3 {
		if err := loop.ScheduleOnce(func() {
			requests++
			_ = send.Schedule()
		}); err != nil {
			log.Fatal(err)
		}
	}
	if _, err := loop.TryPoll(); err != nil {
		log.Fatal(err)
	}
	// Output: sent: 3
}
