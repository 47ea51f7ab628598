package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/aioloop/aioloop/bench"
)

// running and finished are the two kinds of steps.
var (
	running  = bench.Step{Group: "wake gap_us=5", Row: "epoll", Round: 2, Rounds: 5, Done: 1, Groups: 10, Left: 61 * time.Second}
	finished = bench.Step{Group: "wake gap_us=5", Finished: "wake", Done: 2, Groups: 10, Left: 50 * time.Second}
)

const finishedLine = "[ 2/10] wake is finished; 50s left\n"

func TestProgressPlain(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out)
	p.step(running)
	p.step(finished)
	p.end()
	if out.String() != finishedLine {
		t.Errorf("%q", &out)
	}
}

// On a terminal there is one line only, and it is empty at the end.
func TestProgressOnTerminal(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out)
	p.fd = 1 << 20 // no terminal has this number, so its width is not known
	p.step(running)
	p.step(finished)
	p.end()
	status := "[ 2/10] wake gap_us=5, round 2 of 5, epoll; 1m1s left"
	want := "\r" + status + "\r\r" + strings.Repeat(" ", len(status)) + "\r"
	if out.String() != want {
		t.Errorf("%q\nwant %q", &out, want)
	}
}
