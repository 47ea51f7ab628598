//go:build linux

package aio_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

// line sends back all that comes on a serial line, in capitals. What the line does not
// take yet waits in out; while that is full, the line is not read, and the kernel stops the
// sender (RTS/CTS on a real line, with CRTSCTS).
type line struct {
	out []byte
}

// full is the length of the queue from which on the line is not read. A read takes no more.
const full = 4096

// want follows out, which is never empty and full: one of the two is always wanted.
func (l *line) want(h *aio.Handler) {
	if err := h.Want(len(l.out) < full, len(l.out) > 0); err != nil {
		log.Fatal(err)
	}
}

func (l *line) read(h *aio.Handler) {
	var b [full]byte
	n, err := h.TryRead(b[:])
	if err != nil { // io.EOF, or EIO: no carrier, or the adapter was unplugged
		fmt.Println("hang-up:", h.Events().HangUp())
		h.CloseThen(func() { unix.Close(h.FD()) })
		return
	}
	l.out = append(l.out, bytes.ToUpper(b[:n])...)
	l.want(h)
}

func (l *line) write(h *aio.Handler) {
	n, err := h.TryWrite(l.out)
	if err != nil {
		return // the line is broken, and read hears of it
	}
	l.out = append(l.out[:0], l.out[n:]...)
	l.want(h)
}

// A serial line with back-pressure: Want chooses, without new callbacks, what there is room
// and work for. A pseudo-terminal stands for the line and for what is at its other end.
func ExampleHandler_Want_serial() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	other, fd, err := serialLine()
	if err != nil {
		log.Fatal(err)
	}
	l := &line{}
	h, err := loop.Watch(fd, aio.Callbacks{Read: l.read, Write: l.write, Name: "serial line"})
	if err != nil {
		log.Fatal(err)
	}
	l.want(h)

	go func() {
		sent := bytes.Repeat([]byte("x"), 256<<10)
		other.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		n, err := other.Write(sent) // nothing reads what comes back yet
		fmt.Println("held back:", errors.Is(err, os.ErrDeadlineExceeded))

		other.SetWriteDeadline(time.Time{})
		go other.Write(sent[n:])
		back := make([]byte, len(sent))
		_, err = io.ReadFull(other, back)
		fmt.Println("back in capitals:", bytes.Count(back, []byte("X")), err)
		other.Close()
	}()
	fmt.Println(loop.RunUntilDone(context.Background()))
	// Output:
	// held back: true
	// back in capitals: 262144 <nil>
	// hang-up: true
	// <nil>
}

// serialLine returns a pseudo-terminal. For a real line, fd is /dev/ttyS0 or /dev/ttyUSB0,
// opened with the same flags: O_NOCTTY, or a hang-up would end the program, and O_NONBLOCK,
// or the open would wait for a carrier.
func serialLine() (other *os.File, fd int, err error) {
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_NONBLOCK | unix.O_CLOEXEC
	master, err := unix.Open("/dev/ptmx", flags, 0)
	if err != nil {
		return nil, -1, fmt.Errorf("no pseudo-terminals: %w", err)
	}
	other = os.NewFile(uintptr(master), "the other end") // non-blocking: Go waits for it like for a pipe
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return nil, -1, errors.Join(err, other.Close())
	}
	number, err := unix.IoctlGetUint32(master, unix.TIOCGPTN)
	if err != nil {
		return nil, -1, errors.Join(err, other.Close())
	}
	if fd, err = unix.Open(fmt.Sprint("/dev/pts/", number), flags, 0); err != nil {
		return nil, -1, errors.Join(err, other.Close())
	}
	if err := raw(fd); err != nil {
		return nil, -1, errors.Join(err, unix.Close(fd), other.Close())
	}
	return other, fd, nil
}

// raw switches off what a terminal does with bytes: echo, lines, control characters.
func raw(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8 | unix.CREAD // and the speed, on a real line
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}
