//go:build linux

package aio_test

import (
	"fmt"
	"runtime"

	"github.com/aioloop/aioloop/aio"
)

// The loop has CPU 0 for itself: neither Go's monitor thread nor another goroutine makes a
// wake-up wait. With a single CPU, New succeeds and the first Poll says what is missing.
func ExampleThread_exclusive() {
	loop, err := aio.New(aio.WithThread(aio.Thread{CPUs: []int{0}, Exclusive: true}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer loop.Close()
	if _, err := loop.TryPoll(); err != nil && runtime.NumCPU() > 1 {
		fmt.Println(err)
	}
	fmt.Println("ready")
	// Output: ready
}
