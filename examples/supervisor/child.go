package main

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

// child is a command that runs, and what the loop watches of it.
type child struct {
	cmd    *exec.Cmd
	pidfd  int // readable when the child has ended; this program's to close
	exited func(error)

	output *aio.Handler
	pipe   *os.File
	line   []byte // what has no end yet
}

// startChild may take long. It is not called on the loop.
func startChild(args []string) (c *child, err error) {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return nil, err
	}
	pipe, w, err := os.Pipe() // neither end is inherited, and Go makes w block for the child
	if err != nil {
		return nil, err
	}
	defer w.Close() // or the end of the output would never come
	c = &child{pidfd: -1, pipe: pipe}
	c.cmd = exec.Command("/proc/self/exe", append([]string{path}, args...)...)
	c.cmd.Args[0] = cleanExec
	c.cmd.Stdout, c.cmd.Stderr = w, w // files: other Writers cost a goroutine, which Wait waits for
	c.cmd.SysProcAttr = &syscall.SysProcAttr{PidFD: &c.pidfd, Setpgid: true}
	if err = c.cmd.Start(); err == nil && c.pidfd < 0 {
		c.kill()
		err = errors.New("the kernel gives no pidfd: Linux 5.4 or newer is needed")
	}
	if err != nil {
		return nil, errors.Join(err, pipe.Close())
	}
	return c, nil
}

// watch calls exited on the loop when the child has ended, with what Wait returns. It is
// called on the loop too.
func (c *child) watch(loop *aio.Context, exited func(error)) error {
	c.exited = exited
	end, err := loop.Watch(c.pidfd, aio.Callbacks{Read: c.end, Name: "end of a child"})
	if err != nil {
		return err
	}
	raw, err := c.pipe.SyscallConn() // Fd would make it block
	if err != nil {
		return errors.Join(err, end.Close())
	}
	var watchErr error
	err = raw.Control(func(fd uintptr) {
		c.output, watchErr = loop.Watch(int(fd), aio.Callbacks{Read: c.read, Name: "output of a child"})
	})
	if err := errors.Join(err, watchErr); err != nil {
		return errors.Join(err, end.Close())
	}
	return nil
}

// end is called when the child has ended: Wait does not wait.
func (c *child) end(h *aio.Handler) {
	h.Close()
	unix.Close(c.pidfd)
	err := c.cmd.Wait()
	// What it has written is in the pipe. Its own children may write on: that is not waited for.
	if c.pipe != nil {
		c.read(c.output)
	}
	c.endOutput()
	c.exited(err)
}

// read prints what the pipe has, line by line.
func (c *child) read(h *aio.Handler) {
	var buf [64 << 10]byte // as much as a pipe holds
	n, err := unix.Read(h.FD(), buf[:])
	if n == 0 || n < 0 && err != unix.EAGAIN && err != unix.EINTR {
		c.endOutput()
		return
	}
	c.line = append(c.line, buf[:max(n, 0)]...)
	for {
		line, rest, found := bytes.Cut(c.line, []byte("\n"))
		if !found {
			return
		}
		fmt.Printf("| %s\n", line)
		c.line = rest
	}
}

// endOutput ends the watch, then closes the pipe.
func (c *child) endOutput() {
	if c.pipe == nil {
		return
	}
	if len(c.line) > 0 {
		fmt.Printf("| %s\n", c.line)
	}
	c.output.Close()
	c.pipe.Close()
	c.pipe = nil
}

// signal goes to the child, never to a process that has got its number since: Go knows it
// by a pidfd of its own.
func (c *child) signal(sig syscall.Signal) {
	if err := c.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		log.Print("supervisor: ", err)
	}
}

// kill ends a child that no loop watches.
func (c *child) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

// cleanExec is the name that the program has between fork and the command.
const cleanExec = "supervisor: before exec"

// executeClean becomes the command args[0], called args[1]. A child inherits the mask of
// blocked signals, and package os/exec cannot change it between fork and exec. A program that
// blocks signals, as mainloop.ReexecBlocked does, makes this step; others need not.
func executeClean(args []string) error {
	runtime.LockOSThread() // the mask is that of the thread which calls execve
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &unix.Sigset_t{}, nil); err != nil {
		return os.NewSyscallError("pthread_sigmask", err)
	}
	return &os.PathError{Op: "exec", Path: args[0], Err: syscall.Exec(args[0], args[1:], os.Environ())}
}
