//go:build linux

// Package file reads and writes regular files and block devices from an event loop. What os.File does
// with a blocked thread for each call, a File does on the goroutine of its loop, on any backend.
//
//	disk, err := file.Open(loop, "disk.img", os.O_RDWR)
//	r := &file.Request{Buf: buf, Offset: 4096, Done: func(r *file.Request) {
//		use(buf[:r.N], r.Err)
//	}}
//	err = disk.Read(r)
//
// The caller owns the Request, which can be used again and again: a request allocates nothing.
//
// # The way of a request
//
// Which way is the shortest depends on what is asked for, and where: the call itself, if it need not
// wait; an operation of the loop's io_uring; Linux AIO; a worker thread. EngineAuto chooses for each
// request; another [Engine] forces one way; [File.Engine] says which and why. docs/files.md has
// the table and the figures behind it.
//
// # What is promised
//
// Each request that is accepted calls Done exactly once, on the home goroutine, in a later
// iteration. Requests are begun in order, and end in any; two that touch the same bytes at the same
// time leave either's. Short reads and writes go on. A buffer belongs to the request until Done.
//
// What is written is not durable before a [File.Sync] that was submitted after its Done has
// succeeded. A Sync that failed is remembered: all that follow fail.
//
// # Errors
//
//	Open, New: it is no regular file or block     EINVAL
//	    device, or was opened with O_APPEND
//	New: fd is a File of the loop already         EEXIST
//	Open, New: the engine is not available        errors.ErrUnsupported, or EAGAIN: the limit
//	                                              fs.aio-max-nr
//	Read and the others, before anything is done: *Error that matches
//	    the File is closed                        os.ErrClosed
//	    not on the home goroutine                 aio.ErrWrongGoroutine
//	    the Request is under way                  EBUSY
//	    offset, length or buffers make no sense,  EINVAL
//	        or O_DIRECT cannot write them
//	    the File was not opened for that          EBADF
//	Request.Err: the end of the file              io.EOF, with the N bytes that there were
//	    cancelled, or waiting at Close            *Error that matches ECANCELED
//	    the kernel says no                        *Error that wraps the errno
//	    a device takes nothing, without a reason  *Error that wraps io.ErrShortWrite
//	At: called on the home goroutine              aio.ErrDeadlock
//	At: ctx ends first                            context.Cause
//	Close of the loop with files open             *aio.LeakError names them
//
// A nil Done is a mistake in the program, and panics.
package file
