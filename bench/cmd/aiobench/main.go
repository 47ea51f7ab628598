// Command aiobench compares the backends of aioloop with each other, with what a Go
// program would use instead, with other event loops and with the kernel's bare
// interfaces (bench/peers, if they were built), on the machine it runs on.
//
//	go run ./bench/cmd/aiobench -quick
//	go run ./bench/cmd/aiobench -scenario wake,pingpong -backend epoll,io_uring
//	go run ./bench/cmd/aiobench -out bench/out
//
// It prints the medians and a verdict; everything else is in the files of -out. The exit status is 2 if a backend that was
// asked for cannot run here or if the call itself is wrong, 1 if anything else
// fails or if the run was interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/aioloop/aioloop/bench"
	"github.com/aioloop/aioloop/bench/report"
	"github.com/aioloop/aioloop/bench/terminal"
	"github.com/aioloop/aioloop/bench/verdict"
)

// The exit statuses.
const (
	exitFailed = 1 // a measurement or a file
	exitCannot = 2 // a backend cannot run here, or the call is wrong
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process
	// A broken pipe fails the write and does not end the process. Unlike an ignored
	// signal, this is not inherited by the peers.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args)
	switch {
	case errors.Is(err, errHelp):
		fmt.Fprint(stdout, o.usage)
		return 0
	case err != nil:
		return complain(stderr, exitCannot, err)
	case o.list:
		printList(stdout)
		return 0
	}
	rows, missing, err := o.available()
	if err != nil {
		return complain(stderr, exitCannot, err)
	}
	o.config.Rows = rows
	if err := measure(ctx, o, missing, stdout, stderr); err != nil {
		return complain(stderr, exitFailed, err)
	}
	return 0
}

// complain says one sentence in one line.
func complain(stderr io.Writer, status int, err error) int {
	fmt.Fprintln(stderr, "aiobench: "+strings.ReplaceAll(err.Error(), "\n", "; "))
	return status
}

// measure runs the benchmark and writes what came of it, even if it was stopped
// before its end.
func measure(ctx context.Context, o *options, missing []report.Absence, stdout, stderr io.Writer) error {
	files, err := openFiles(o)
	if err != nil {
		return err
	}
	defer files.discard()
	if o.raw != "" {
		raw, err := newRawFiles(o.raw)
		if err != nil {
			return err
		}
		o.config.Raw = raw.write
	}
	machine := bench.ReadMachine()
	if o.config.HasFiles() {
		o.config.FileDir = bench.FileFolder(o.config.FileDir, o.out)
		machine.Filesystem = bench.Filesystem(o.config.FileDir)
	}
	r := &report.Report{Schema: report.Schema, Machine: machine, Description: bench.DescriptionOn(machine)}
	p := newProgress(stderr)
	o.config.Progress = p.step
	r.Run = &report.Run{Name: o.name, Version: o.version, Options: o.repeat(), Quick: o.config.Quick}
	began := time.Now()
	results, absent, failure := bench.Run(ctx, o.config)
	r.Results, r.Absent, r.Run.Took = results, append(missing, absent...), time.Since(began).Round(time.Second)
	p.end()
	switch {
	case errors.Is(failure, context.Canceled):
		failure = fmt.Errorf("interrupted: only %d of %d groups of measurements were finished", p.last.Done, p.last.Groups)
	case failure == nil:
		failure = o.lost(results, absent)
	}
	if len(results) == 0 {
		return failure
	}
	r.Verdict = verdict.Of(r)
	// The files come first: a reader of stdout may have left.
	written := files.write(r)
	return errors.Join(failure, written, show(r, files.table(), stdout))
}

// lost is an error if a row that was asked for by name was left out of something, or if
// nothing could be measured at all.
func (o *options) lost(results []report.Result, absent []report.Absence) error {
	for _, a := range absent {
		if len(results) == 0 || o.strict && a.Row != bench.AllRows {
			return fmt.Errorf("%s was left out of %s: %s", a.Row, a.Where, a.Why)
		}
	}
	return nil
}

// show prints the report. A reader that has seen enough is no error.
func show(r *report.Report, table string, stdout io.Writer) error {
	if err := terminal.Write(stdout, r, table); !errors.Is(err, syscall.EPIPE) {
		return err
	}
	return nil
}
