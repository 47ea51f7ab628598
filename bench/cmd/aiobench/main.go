// Command aiobench compares the backends of aioloop with each other, with what a Go
// program would use instead, with other event loops and with the kernel's bare
// interfaces (bench/peers, if they were built), on the machine it runs on.
//
//	go run ./bench/cmd/aiobench -quick
//	go run ./bench/cmd/aiobench -scenario wake,pingpong -backend epoll,io_uring
//	go run ./bench/cmd/aiobench -out bench/out
//
// It prints one table per scenario. The exit status is 2 if a backend that was
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
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/aioloop/aioloop/bench"
	"github.com/aioloop/aioloop/bench/report"
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
	for _, m := range missing {
		fmt.Fprintln(stderr, m.sentence)
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
func measure(ctx context.Context, o *options, missing []absence, stdout, stderr io.Writer) error {
	files, err := openFiles(o)
	if err != nil {
		return err
	}
	defer files.discard()
	r := &report.Report{Schema: report.Schema, Machine: report.ReadMachine(), Description: bench.Description()}
	p := newProgress(stderr)
	o.config.Progress = p.step
	r.Run = &report.Run{Name: o.name, Version: o.version, Options: o.repeat(), Quick: o.config.Quick}
	var failure error
	began := time.Now()
	r.Results, failure = bench.Run(ctx, o.config)
	r.Run.Took = time.Since(began).Round(time.Second)
	p.end()
	if errors.Is(failure, context.Canceled) {
		failure = fmt.Errorf("interrupted: only %d of %d groups of measurements were finished", p.last.Done, p.last.Groups)
	}
	if len(r.Results) == 0 {
		return failure
	}
	addNotes(r.Results, missing)
	// The files come first: a reader of stdout may have left.
	if err := files.write(r); err != nil {
		return errors.Join(failure, err, r.WriteTable(stdout))
	}
	return errors.Join(failure, show(r, files, stdout))
}

// show writes the table and the names of the files. A reader that has seen enough is no
// error.
func show(r *report.Report, f *files, stdout io.Writer) error {
	err := r.WriteTable(stdout)
	if err == nil {
		err = f.names(stdout)
	}
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

// addNotes says in the report as well why rows are missing, in the scenarios that
// they belong to.
func addNotes(results []report.Result, missing []absence) {
	for _, m := range missing {
		for i := range results {
			if r := &results[i]; slices.Contains(bench.RowsIn([]string{r.Scenario}), m.row) {
				r.Notes = append(r.Notes, m.sentence)
			}
		}
	}
}
