//go:build linux

package file

import (
	"context"
	"io"
	"os"

	"github.com/aioloop/aioloop/aio"
)

// At is a File for goroutines other than the loop's: an io.ReaderAt and io.WriterAt that sends
// each call through the loop and waits for it. A call on the home goroutine would wait for itself, and
// fails with aio.ErrDeadlock. If the loop is closed under a call, that returns aio.ErrClosed, and the
// kernel may still use the buffer: do not use it again.
type At struct {
	file *File
	ctx  context.Context
}

var (
	_ io.ReaderAt = At{}
	_ io.WriterAt = At{}
)

// At returns f for other goroutines. Their calls end early with the cause of ctx when that ends: a
// buffer that the kernel still has is given back first.
func (f *File) At(ctx context.Context) At { return At{f, ctx} }

// ReadAt implements io.ReaderAt. Any goroutine but the home goroutine may call it.
func (a At) ReadAt(p []byte, offset int64) (n int, err error) {
	return a.do((*File).Read, &Request{Buf: p, Offset: offset})
}

// WriteAt implements io.WriterAt. Any goroutine but the home goroutine may call it.
func (a At) WriteAt(p []byte, offset int64) (n int, err error) {
	return a.do((*File).Write, &Request{Buf: p, Offset: offset})
}

// Sync is File.Sync. Any goroutine but the home goroutine may call it.
func (a At) Sync() error {
	_, err := a.do((*File).Sync, new(Request))
	return err
}

func (a At) do(call func(*File, *Request) error, r *Request) (int, error) {
	loop := a.file.loop
	if loop.OnHome() {
		return 0, aio.ErrDeadlock
	}
	done := make(chan struct{})
	r.Done = func(*Request) { close(done) }
	err := loop.Do(a.ctx, func() error {
		if a.file.closed {
			return &Error{Op: "call", Name: a.file.name, Err: os.ErrClosed}
		}
		return call(a.file, r)
	})
	if err != nil {
		return 0, err
	}
	select {
	case <-done:
	case <-a.ctx.Done():
		return a.giveUp(r, done)
	case <-a.file.all.ended:
		return 0, aio.ErrClosed
	}
	return int(r.N), r.Err
}

// giveUp cancels r and waits until its buffer is not used any more.
func (a At) giveUp(r *Request, done chan struct{}) (int, error) {
	if err := a.file.loop.Do(context.Background(), r.Cancel); err != nil {
		return 0, err
	}
	select {
	case <-done:
	case <-a.file.all.ended:
		return 0, aio.ErrClosed
	}
	if r.Err == nil {
		return int(r.N), nil
	}
	return int(r.N), context.Cause(a.ctx)
}
