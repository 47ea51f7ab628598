//go:build linux

package pool_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/pool"
)

// A file is read on a worker, and what was read is used on the loop.
func Example() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	var text []byte
	err = pool.Run(loop, func() (err error) {
		text, err = os.ReadFile("/dev/null")
		return err
	}, func(err error) {
		fmt.Println(len(text), "bytes,", err)
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := loop.RunUntilDone(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: 0 bytes, <nil>
}

// A pool of its own for work that would keep all workers of the loop's pool busy.
func ExamplePool() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	lookups, err := pool.New(loop, pool.WithWorkers(0, 8))
	if err != nil {
		log.Fatal(err)
	}
	if err := lookups.Run(func() error { return nil }, func(error) { fmt.Println("looked up") }); err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := lookups.Close(ctx); err != nil { // polls until that is done
		log.Fatal(err)
	}
	fmt.Println("closed")
	// Output:
	// looked up
	// closed
}

// The job is part of a request that is used again, so nothing is allocated for the second time.
func ExampleJob() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	p, err := pool.Of(loop)
	if err != nil {
		log.Fatal(err)
	}
	type request struct {
		job   pool.Job
		n, n2 int
	}
	r := &request{n: 3}
	r.job.Work = func() error { r.n2 = r.n * r.n; return nil }
	r.job.Done = func(error) {
		fmt.Println(r.n2)
		if r.n = r.n2; r.n < 10 {
			_ = p.Submit(&r.job)
		}
	}
	if err := p.Submit(&r.job); err != nil {
		log.Fatal(err)
	}
	if err := loop.RunUntilDone(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 9
	// 81
}

// Work that has not begun can be cancelled.
func ExampleJob_Cancel() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	p, err := pool.Of(loop)
	if err != nil {
		log.Fatal(err)
	}
	job := pool.Job{
		Work: func() error { return nil },
		Done: func(err error) { fmt.Println(errors.Is(err, unix.ECANCELED)) },
	}
	loop.Batch(func() { // what is submitted here begins at its end
		if err := p.Submit(&job); err != nil {
			log.Fatal(err)
		}
		fmt.Println(job.Cancel())
	})
	if err := loop.RunUntilDone(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// true
	// true
}

func ExampleState() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	p, err := pool.Of(loop)
	if err != nil {
		log.Fatal(err)
	}
	var job pool.Job
	job.Work = func() error { fmt.Println(job.State()); return nil }
	job.Done = func(error) { fmt.Println(job.State()) }
	loop.Batch(func() {
		if err := p.Submit(&job); err != nil {
			log.Fatal(err)
		}
		fmt.Println(job.State())
	})
	if err := loop.RunUntilDone(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// queued
	// active
	// idle
}

// Work that panics makes the loop panic.
func ExamplePanicError() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	p, err := pool.Of(loop)
	if err != nil {
		log.Fatal(err)
	}
	job := pool.Job{Name: "resize", Work: func() error { panic("no such picture") }, Done: func(error) {}}
	if err := p.Submit(&job); err != nil {
		log.Fatal(err)
	}
	defer func() {
		if err, ok := recover().(*pool.PanicError); ok {
			fmt.Printf("job %s: %v\n", err.Job, err.Value)
		}
	}()
	if err := loop.RunUntilDone(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: job resize: no such picture
}

// Work that must not run together has a pool with one worker.
func ExampleWithWorkers() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	one, err := pool.New(loop, pool.WithWorkers(0, 1))
	if err != nil {
		log.Fatal(err)
	}
	for i := range 3 {
		if err := one.Run(func() error { fmt.Println("work", i); return nil }, func(error) {}); err != nil {
			log.Fatal(err)
		}
	}
	if err := loop.RunUntilDone(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// work 0
	// work 1
	// work 2
}

// Workers that are idle for a second or two end.
func ExampleWithIdle() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	p, err := pool.New(loop, pool.WithIdle(time.Second))
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Run(func() error { return nil }, func(err error) { fmt.Println(err) }); err != nil {
		log.Fatal(err)
	}
	if err := loop.RunUntilDone(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: <nil>
}

// A Pool gets its limits from options.
func ExampleOption() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	options := []pool.Option{pool.WithWorkers(2, 16), pool.WithIdle(time.Minute)}
	_, err = pool.New(loop, options...)
	fmt.Println(err)
	// Output: <nil>
}
