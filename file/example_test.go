//go:build linux

package file_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/file"
)

// temporary returns the name of a new file with the contents, and how to remove it.
func temporary(contents string) (name string, remove func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	name = filepath.Join(dir, "data")
	if err := os.WriteFile(name, []byte(contents), 0o600); err != nil {
		log.Fatal(err)
	}
	return name, func() { os.RemoveAll(dir) }
}

func newLoop() *aio.Context {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	return loop
}

// A read that the loop does while it goes on with other things.
func ExampleFile() {
	loop := newLoop()
	defer loop.Close()
	name, remove := temporary("hello, world")
	defer remove()
	f, err := file.Open(loop, name, os.O_RDONLY)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, 5)
	err = f.Read(&file.Request{Buf: buf, Offset: 7, Done: func(r *file.Request) {
		fmt.Printf("%q %v\n", buf[:r.N], r.Err)
	}})
	if err != nil {
		log.Fatal(err)
	}
	if err := loop.RunUntilDone(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: "world" <nil>
}

// One Request writes, then makes what it wrote durable.
func ExampleRequest() {
	loop := newLoop()
	defer loop.Close()
	name, remove := temporary("")
	defer remove()
	f, err := file.Open(loop, name, os.O_RDWR)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	synced := func(r *file.Request) { fmt.Println("durable:", r.Err == nil) }
	r := &file.Request{Buffers: [][]byte{[]byte("one "), []byte("two")}}
	r.Done = func(r *file.Request) {
		fmt.Println("written:", r.N, r.Err)
		r.Done = synced
		if err := f.SyncData(r); err != nil {
			log.Fatal(err)
		}
	}
	if err := f.Write(r); err != nil {
		log.Fatal(err)
	}
	if err := loop.RunUntilDone(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// written: 7 <nil>
	// durable: true
}

// What went wrong, where, and what the kernel said.
func ExampleError() {
	loop := newLoop()
	defer loop.Close()
	name, remove := temporary("")
	defer remove()
	f, err := file.Open(loop, name, os.O_RDONLY, file.WithName("disk 0"))
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	err = f.Write(&file.Request{Buf: make([]byte, 512), Offset: 4096, Done: func(*file.Request) {}})
	var e *file.Error
	fmt.Println(errors.As(err, &e) && e.Op == "write", errors.Is(err, unix.EBADF))
	// Output: true true
}

// The engine as a name from a configuration, and what became of it.
func ExampleEngine() {
	loop, err := aio.New(aio.WithBackend(aio.Epoll))
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	name, remove := temporary("")
	defer remove()
	var engine file.Engine
	if err := engine.Set("threads"); err != nil {
		log.Fatal(err)
	}
	f, err := file.Open(loop, name, os.O_RDONLY, file.WithEngine(engine))
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	fmt.Println(f.Engine())
	// Output: threads (asked for)
}

// What was chosen, as a value.
func ExampleEngineInfo() {
	loop, err := aio.New(aio.WithBackend(aio.Ppoll))
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	name, remove := temporary("")
	defer remove()
	f, err := file.Open(loop, name, os.O_RDONLY, file.WithEngine(file.EngineThreads))
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	fmt.Println(f.Engine().Engine == file.EngineThreads)
	// Output: true
}

// Reads behind the end see zeros.
func ExampleWithZerosAtEnd() {
	loop := newLoop()
	defer loop.Close()
	name, remove := temporary("abc")
	defer remove()
	f, err := file.Open(loop, name, os.O_RDONLY, file.WithZerosAtEnd())
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, 5)
	if err := f.Read(&file.Request{Buf: buf, Done: func(r *file.Request) { fmt.Println(buf, r.N, r.Err) }}); err != nil {
		log.Fatal(err)
	}
	if err := loop.RunUntilDone(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: [97 98 99 0 0] 5 <nil>
}

// Requests of a file that is begun one at a time.
func ExampleWithDepth() {
	loop := newLoop()
	defer loop.Close()
	name, remove := temporary("abc")
	defer remove()
	f, err := file.Open(loop, name, os.O_RDONLY, file.WithDepth(1))
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	for i := range int64(3) {
		buf := make([]byte, 1)
		if err := f.Read(&file.Request{Buf: buf, Offset: i, Done: func(*file.Request) { fmt.Print(string(buf)) }}); err != nil {
			log.Fatal(err)
		}
	}
	if err := loop.RunUntilDone(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: abc
}

// A log is written by the call itself, which most often takes no longer than a copy.
func ExampleWithWaitingWrites() {
	loop := newLoop()
	defer loop.Close()
	name, remove := temporary("")
	defer remove()
	f, err := file.Open(loop, name, os.O_WRONLY, file.WithWaitingWrites())
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	line := []byte("started\n")
	if err := f.Write(&file.Request{Buf: line, Done: func(r *file.Request) { fmt.Println(r.N, r.Err) }}); err != nil {
		log.Fatal(err)
	}
	if err := loop.RunUntilDone(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: 8 <nil>
}

// A goroutine that knows nothing of loops reads through one.
func ExampleAt() {
	loop := newLoop()
	defer loop.Close()
	name, remove := temporary("hello, world")
	defer remove()
	f, err := file.Open(loop, name, os.O_RDONLY)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer stop()
		word, err := io.ReadAll(io.NewSectionReader(f.At(ctx), 7, 5))
		fmt.Printf("%q %v\n", word, err)
	}()
	if err := loop.Run(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: "world" <nil>
}

// with prints what a File with the option says of itself.
func with(opts ...file.Option) (f *file.File, end func()) {
	loop, err := aio.New(aio.WithBackend(aio.Epoll))
	if err != nil {
		log.Fatal(err)
	}
	name, remove := temporary("")
	f, err = file.Open(loop, name, os.O_RDONLY, opts...)
	if err != nil {
		log.Fatal(err)
	}
	return f, func() {
		f.Close()
		loop.Close()
		remove()
	}
}

// Each request on a worker thread, whatever would be faster.
func ExampleWithEngine() {
	f, end := with(file.WithEngine(file.EngineThreads))
	defer end()
	fmt.Println(f.Engine())
	// Output: threads (asked for)
}

// A name for errors and leak reports.
func ExampleWithName() {
	f, end := with(file.WithName("disk 0"))
	defer end()
	fmt.Println(f.Name())
	// Output: disk 0
}

// Options are given when a File is opened, each once.
func ExampleOption() {
	f, end := with(file.WithDepth(16), file.WithName("disk 1"))
	defer end()
	fmt.Println(f.Name())
	// Output: disk 1
}
