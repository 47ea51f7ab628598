// Inotify-coroutine is examples/inotify with a coroutine: it prints what happens to the files in a
// directory.
//
//	go run ./examples/inotify-coroutine /tmp
//	touch /tmp/a; mv /tmp/a /tmp/b; rm /tmp/b     # in another terminal
//
// Control-C ends it, and so does the end of the directory.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/coroutine"
)

const interest = unix.IN_CREATE | unix.IN_CLOSE_WRITE | unix.IN_DELETE | unix.IN_MOVE | unix.IN_ATTRIB | unix.IN_ONLYDIR

func main() {
	var backend aio.Backend
	flag.Var(&backend, "backend", "auto, ppoll, epoll or io_uring")
	flag.Parse()
	log.SetFlags(0)
	dir := flag.Arg(0)
	if dir == "" {
		dir = "."
	}
	if err := run(backend, dir); err != nil {
		log.Fatal("inotify: ", err)
	}
}

func run(backend aio.Backend, dir string) (err error) {
	loop, err := aio.New(aio.WithBackend(backend))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, loop.Close()) }()

	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil { // EMFILE: also the sysctl fs.inotify.max_user_instances
		return os.NewSyscallError("inotify_init1", err)
	}
	defer unix.Close(fd)
	if _, err := unix.InotifyAddWatch(fd, dir, interest); err != nil {
		return fmt.Errorf("watch %s: %w", dir, err)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	watcher := coroutine.Go(loop, func(co *coroutine.Co) error {
		defer stop()
		return printEvents(co.Named("inotify"), fd)
	})
	fmt.Printf("watching %s with %v\n", dir, loop.Backend())
	if err := loop.Run(ctx); err != nil {
		return err
	}
	return watcher.Err()
}

// printEvents prints what happens until the end of the directory.
func printEvents(co *coroutine.Co, fd int) error {
	var ready func() // ends the wait, nil if there is none
	handler, err := co.Loop().Watch(fd, aio.Callbacks{Name: "inotify", Read: func(*aio.Handler) {
		if end := ready; end != nil {
			ready = nil
			end()
		}
	}})
	if err != nil {
		return err
	}
	defer handler.Close()
	var buf [64 << 10]byte // a single event takes up to 16 + 256 bytes
	for {
		n, err := handler.TryRead(buf[:])
		if err != nil {
			return err
		}
		if n == 0 {
			if err := co.Wait(func(end func()) { ready = end }); err != nil {
				return err
			}
		}
		for rest := buf[:n]; len(rest) > 0; {
			var e event
			if e, rest, err = decode(rest); err != nil {
				return err
			}
			fmt.Println(e)
			if e.mask&unix.IN_IGNORED != 0 {
				return nil
			}
		}
	}
}

// event is struct inotify_event without what only matters with several watches.
type event struct {
	mask uint32
	name string
}

// decode takes the first event off b. It copies instead of casting, so that
// neither the alignment of b nor a length that is wrong can do any harm.
func decode(b []byte) (e event, rest []byte, err error) {
	const header = 16 // wd, mask, cookie, len: four 32-bit words
	if len(b) < header {
		return e, nil, fmt.Errorf("event of %d bytes, want %d at least", len(b), header)
	}
	e.mask = binary.NativeEndian.Uint32(b[4:])
	length := binary.NativeEndian.Uint32(b[12:])
	if uint64(length) > uint64(len(b)-header) {
		return e, nil, fmt.Errorf("name of %d bytes, %d are left", length, len(b)-header)
	}
	name, rest := b[header:header+length], b[header+length:]
	name, _, _ = bytes.Cut(name, []byte{0}) // padded with zeros
	e.name = string(name)
	return e, rest, nil
}

var maskNames = []struct {
	bit  uint32
	name string
}{
	{unix.IN_CREATE, "created"}, {unix.IN_CLOSE_WRITE, "written"}, {unix.IN_DELETE, "deleted"},
	{unix.IN_MOVED_FROM, "moved away"}, {unix.IN_MOVED_TO, "moved here"}, {unix.IN_ATTRIB, "attributes changed"},
	{unix.IN_Q_OVERFLOW, "events were lost"}, {unix.IN_IGNORED, "the watch has ended"}, {unix.IN_ISDIR, "(directory)"},
}

func (e event) String() string {
	var what []string
	for _, m := range maskNames {
		if e.mask&m.bit != 0 {
			what = append(what, m.name)
		}
	}
	s := strings.Join(what, " ")
	if e.name != "" {
		s += fmt.Sprintf(": %q", e.name)
	}
	return s
}
