package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/aioloop/aioloop/bench"
	"github.com/aioloop/aioloop/bench/report"
)

// running and finished are the two kinds of steps.
var (
	running  = bench.Step{Group: "wake gap_us=5", Row: "epoll", Round: 2, Rounds: 5, Done: 1, Groups: 10, Left: 61 * time.Second}
	finished = bench.Step{Group: "wake gap_us=5", Done: 2, Groups: 10, Results: []report.Result{
		{Backend: "epoll", Params: map[string]string{"polling": "off"}, P50: 24567 * time.Nanosecond},
		{Backend: "epoll", Params: map[string]string{"polling": "on"}, P50: 456},
		{Backend: bench.Netpoller, Params: map[string]string{"polling": "on"}, P50: 20000},
	}}
)

const finishedLine = "[ 2/10] wake gap_us=5: epoll 24.6µs, epoll polling 456ns\n"

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

// On a terminal, each line of text covers what stood there before.
func TestProgressOnTerminal(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out)
	p.fd = 1 << 20 // no terminal has this number, so its width is not known
	p.step(running)
	p.step(finished)
	p.end()
	status := "[ 2/10] wake gap_us=5, round 2 of 5, epoll; 1m1s left"
	want := "\r" + status + "\r\r" + strings.Repeat(" ", len(status)) + "\r" + finishedLine + "\r\r"
	if out.String() != want {
		t.Errorf("%q\nwant %q", &out, want)
	}
}
