//go:build linux

package aio

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var record = flag.Bool("record", false, "write internal/polling/testdata/gaps.txt from live traffic")

const (
	recordingLength = 400
	recordingHead   = `# How long a loop waited for its events, in ns, one recording a line. Made with
# go test -run RecordGaps -record on a virtual machine with two CPUs under load. The
# loop spun all the time, so that no wake-up is in the figures.
#
# echo: a thread that writes 64 bytes into a socket and blocks until the loop, on
# io_uring, has sent them back.
# requests: three goroutines that call Do and then think for up to 100 µs.
`
)

// TestRecordGaps records what the simulation of package polling replays, if it is asked to.
func TestRecordGaps(t *testing.T) {
	if !*record {
		t.Skip("it writes internal/polling/testdata/gaps.txt, if it is asked to with -record")
	}
	needTwoCPUs(t)
	file := bytes.NewBufferString(recordingHead)
	fmt.Fprintf(file, "echo: %s\n", recordGaps(t, echoTraffic))
	fmt.Fprintf(file, "requests: %s\n", recordGaps(t, requestTraffic))
	must(t, os.WriteFile("internal/polling/testdata/gaps.txt", file.Bytes(), 0o644))
}

// recordGaps returns how long a loop spins for each event of the traffic.
func recordGaps(t *testing.T, traffic func(ctx context.Context, t *testing.T, c *Context)) string {
	var gaps []time.Duration
	ctx, cancel := context.WithCancel(context.Background())
	c, err := New(WithBackend(IOUring), WithPolling(longWindow), WithTrace(func(e TraceEvent) {
		if e.Point == TracePollEnd {
			gaps = append(gaps, time.Duration(max(e.Value, 100)))
		}
		if len(gaps) == recordingLength+1 {
			cancel()
		}
	}))
	must(t, err)
	c.spin.rule.Window = longWindow.Max
	traffic(ctx, t, c)
	if err := c.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	must(t, c.Close())
	var line bytes.Buffer
	for _, g := range gaps[1 : recordingLength+1] { // the first is from before the traffic
		fmt.Fprintf(&line, " %d", g)
	}
	return line.String()[1:]
}

func echoTraffic(ctx context.Context, t *testing.T, c *Context) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	room := make([]byte, 64)
	var h *Handler
	h, err = c.Watch(fds[0], Callbacks{Read: func(*Handler) {
		if n, err := unix.Read(fds[0], room); n > 0 && err == nil {
			_, _ = unix.Write(fds[0], room[:n])
		}
	}})
	must(t, err)
	client := os.NewFile(uintptr(fds[1]), "client")
	context.AfterFunc(ctx, func() { _ = h.Close(); _ = unix.Close(fds[0]) })
	go func() {
		message := make([]byte, 64)
		for ctx.Err() == nil {
			_, _ = client.Write(message)
			_, _ = io.ReadFull(client, message)
		}
		_ = client.Close()
	}()
}

func requestTraffic(ctx context.Context, _ *testing.T, c *Context) {
	for seed := range uint64(3) {
		random := rand.New(rand.NewPCG(seed, seed))
		go func() {
			for ctx.Err() == nil {
				_ = c.Do(ctx, func() error { return nil })
				think := time.Duration(random.IntN(int(100 * µs)))
				for start := time.Now(); time.Since(start) < think; {
				}
			}
		}()
	}
}
