//go:build linux

package aio_test

import (
	"fmt"
	"log"

	"github.com/aioloop/aioloop/aio"
)

// The loop has CPU 0 for itself: neither Go's monitor thread nor another goroutine makes a
// wake-up wait. Where that cannot be, with a single CPU for example, the first Poll says so.
func ExampleThread_exclusive() {
	loop, err := aio.New(aio.WithThread(aio.Thread{CPUs: []int{0}, Exclusive: true}))
	if err != nil {
		log.Print(err)
		return
	}
	defer loop.Close()
	if _, err := loop.TryPoll(); err != nil {
		log.Print(err)
	}
	fmt.Println("ready")
	// Output: ready
}
