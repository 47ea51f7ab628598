//go:build linux

package aio_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

// An os.File that another part of the program closes when it likes: the loop watches a
// duplicate, which it owns. Without SyscallConn, Fd would make the file block, and a
// callback that reads would stop the loop.
func ExampleContext_Watch_osFile() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	file, other, err := os.Pipe()
	if err != nil {
		log.Fatal(err)
	}

	fd, err := duplicate(file)
	if err != nil {
		log.Fatal(err)
	}
	_, err = loop.Watch(fd, aio.Callbacks{Read: func(h *aio.Handler) {
		var b [64]byte
		switch n, err := h.TryRead(b[:]); {
		case n > 0:
			fmt.Printf("%q\n", b[:n])
		case err == io.EOF: // each descriptor of the other end is closed
			h.CloseThen(func() { fmt.Println("closed:", unix.Close(h.FD())) })
		}
	}, Name: "pipe"})
	if err != nil {
		log.Fatal(err)
	}

	file.Close() // its owner needs it no more; the duplicate stays
	fmt.Fprint(other, "hello")
	other.Close()
	fmt.Println(loop.RunUntilDone(context.Background()))
	// Output:
	// "hello"
	// closed: <nil>
	// <nil>
}

// duplicate returns a descriptor of the caller's own for the same open file. Whether it
// blocks belongs to the open file: Go has made it non-blocking, which holds for both.
func duplicate(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	var dupErr error
	err = raw.Control(func(old uintptr) {
		fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	})
	return fd, errors.Join(err, os.NewSyscallError("fcntl", dupErr))
}
