//go:build linux

// Command copy copies a file or a block device: many blocks are read and written at a time, holes
// stay holes, and a line tells how far it is.
//
//	go run ./examples/copy [-backend B] [-file-engine E] [-cached] [-sync] FROM TO
//
// The blocks are read past the page cache, which is the faster way for data that is not in it: with
// -cached they are read through it, as on a filesystem without O_DIRECT. With -sync the copy is on
// the disk when the program ends; else the kernel writes it when it likes, as after cp(1).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/file"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("copy: ")
	if err := run(os.Args[1:], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(args []string, progress io.Writer) (err error) {
	var backend aio.Backend
	var engine file.Engine
	flags := flag.NewFlagSet("copy", flag.ContinueOnError)
	flags.Var(&backend, "backend", "auto, ppoll, epoll or io_uring")
	flags.Var(&engine, "file-engine", "auto, io_uring, linux-aio or threads")
	cached := flags.Bool("cached", false, "read through the page cache")
	sync := flags.Bool("sync", false, "end when the copy is on the disk")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 2 {
		return errors.New("name two files: copy [flags] FROM TO")
	}
	loop, err := aio.New(aio.WithBackend(backend), aio.WithName("copy"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, loop.Close()) }()
	c := &copier{loop: loop, sync: *sync}
	if err := c.open(flags.Arg(0), flags.Arg(1), engine, *cached); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	line, err := loop.Every(100*time.Millisecond, func(int) { fmt.Fprintf(progress, "\r%s ", c) })
	if err != nil {
		return err
	}
	defer line.Stop()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err = c.copy(ctx)
	fmt.Fprintf(progress, "\r%s\n", c)
	return err
}

// copier copies one file. It belongs to its loop.
type copier struct {
	loop     *aio.Context
	sync     bool // the copy ends on the disk
	from, to *file.File
	size     int64 // of what is copied
	moved    int64 // bytes that are done, holes among them
	next     int64 // where the next block begins
	end      int64 // of the extent at next, as far as it is known
	busy     int   // blocks under way
	failed   error // the first error: no block is begun after it
	finish   func()
}

// The loop has nothing better to do than to write, so it writes itself: up to 64 KiB in a call, while
// the other blocks are read.
const (
	blockSize = 64 << 10
	blocks    = 128 // at a time
)

func (c *copier) open(from, to string, engine file.Engine, cached bool) (err error) {
	if c.from, err = openSource(c.loop, from, engine, cached); err != nil {
		return err
	}
	if c.size, err = c.from.Size(); err != nil {
		return errors.Join(err, c.from.Close())
	}
	c.to, err = file.Open(c.loop, to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, file.WithEngine(writer(engine)), file.WithWaitingWrites())
	if err != nil {
		return errors.Join(err, c.from.Close())
	}
	if err := unix.Ftruncate(c.to.FD(), c.size); err != nil && !errors.Is(err, unix.EINVAL) { // a device has its size
		return errors.Join(fmt.Errorf("%s: %w", to, err), c.close())
	}
	return nil
}

func openSource(loop *aio.Context, name string, engine file.Engine, cached bool) (*file.File, error) {
	if !cached {
		f, err := file.Open(loop, name, os.O_RDONLY|unix.O_DIRECT, file.WithEngine(engine))
		if !errors.Is(err, unix.EINVAL) {
			return f, err
		}
	}
	return file.Open(loop, name, os.O_RDONLY, file.WithEngine(engine))
}

// writer is the engine for the copy, which is written through the page cache: its end need not be a whole
// block.
func writer(e file.Engine) file.Engine {
	if e == file.EngineLinuxAIO {
		return file.EngineAuto
	}
	return e
}

func (c *copier) close() error { return errors.Join(c.from.Close(), c.to.Close()) }

// copy returns when all is written, and with -sync on the disk.
func (c *copier) copy(ctx context.Context) error {
	ctx, c.finish = context.WithCancel(ctx)
	c.busy = blocks
	for range blocks {
		b := &block{copier: c, buf: c.from.Buffer(blockSize)}
		b.begin()
	}
	if err := c.loop.Run(ctx); err != nil {
		return err
	}
	if c.failed == nil && c.moved < c.size {
		return errors.New("interrupted: the copy is not complete")
	}
	return c.failed
}

// ended is called for each block that finds nothing more to do. The last one ends the copy.
func (c *copier) ended(err error) {
	if c.failed == nil {
		c.failed = err
	}
	if c.busy--; c.busy > 0 {
		return
	}
	if !c.sync {
		c.finish()
		return
	}
	sync := &file.Request{Done: func(r *file.Request) {
		if c.failed == nil {
			c.failed = r.Err
		}
		c.finish()
	}}
	if err := c.to.Sync(sync); err != nil {
		c.failed = errors.Join(c.failed, err)
		c.finish()
	}
}

func (c *copier) String() string {
	if c.size == 0 {
		return "0 bytes"
	}
	return fmt.Sprintf("%d of %d MiB, %d %%", c.moved>>20, c.size>>20, c.moved*100/c.size)
}

// block is a buffer that goes from one file to the other, again and again.
type block struct {
	*copier
	buf []byte
	r   file.Request
}

// begin reads the next block, or finds out where that is.
func (b *block) begin() {
	if b.failed != nil || b.next >= b.size {
		b.ended(nil)
		return
	}
	if b.next >= b.end {
		b.r = file.Request{Offset: b.next, Length: b.size - b.next, Done: b.found}
		b.check(b.from.Extent(&b.r))
		return
	}
	n := min(blockSize, b.end-b.next)
	b.r = file.Request{Buf: b.buf[:n], Offset: b.next, Done: b.read}
	b.next += n
	b.check(b.from.Read(&b.r))
}

// found takes notice of an extent. Several blocks may have asked for the same.
func (b *block) found(r *file.Request) {
	switch {
	case r.Err != nil:
		b.ended(r.Err)
		return
	case r.Offset != b.next:
	case r.Hole:
		b.next += r.N
		b.moved += r.N
	default:
		b.end = r.Offset + r.N
	}
	b.begin()
}

func (b *block) read(r *file.Request) {
	if r.Err != nil {
		b.ended(r.Err)
		return
	}
	b.r = file.Request{Buf: b.buf[:r.N], Offset: r.Offset, Done: b.written}
	b.check(b.to.Write(&b.r))
}

func (b *block) written(r *file.Request) {
	if r.Err != nil {
		b.ended(r.Err)
		return
	}
	b.moved += r.N
	b.begin()
}

// check ends the block if its request was refused.
func (b *block) check(err error) {
	if err != nil {
		b.ended(err)
	}
}
