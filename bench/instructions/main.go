//go:build linux

// Command instructions counts how many instructions the hot paths of the library
// take in user space, and fails if one takes much more than it used to. Unlike
// times, instructions are the same on a busy machine.
//
//	go run ./bench/instructions          compare with the baseline
//	go run ./bench/instructions -renew   make it the baseline
//
// It uses perf where the processor's counters can be had, otherwise valgrind, and
// where there is neither it says so. A path is gone through n times and 2n times,
// each in a process of its own; the difference is free of what it takes to start.
//
// The baseline belongs to a CPU architecture and a minor version of Go, whose
// compiler makes the instructions: with another one the comparison is information.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// tolerance is how much more than the baseline a path may take, in percent.
const tolerance = 10

func main() {
	renew := flag.Bool("renew", false, "write the baseline instead of comparing with it")
	dir := flag.String("dir", "bench/instructions", "folder of the baselines")
	child := flag.String("child", "", "go through this path (used by the command itself)")
	n := flag.Int("n", 0, "so many times (the same)")
	flag.Parse()
	if *child != "" {
		os.Exit(runPath(*child, *n))
	}
	ok, err := run(filepath.Join(*dir, "baseline-"+runtime.GOARCH+".txt"), *renew)
	if err != nil {
		fmt.Fprintln(os.Stderr, "instructions:", err)
		os.Exit(1)
	}
	if !ok {
		os.Exit(1)
	}
}

// run reports whether no path takes too many instructions.
func run(file string, renew bool) (ok bool, err error) {
	counter, err := findCounter()
	if err != nil {
		fmt.Println("absent:", err)
		return true, nil
	}
	fmt.Printf("instructions per operation, counted by %s, %s\n\n", counter, goMinor(runtime.Version()))
	now := &baseline{goVersion: goMinor(runtime.Version()), counter: counter.String()}
	for _, p := range paths {
		per, err := counter.perOperation(p.name)
		var absent *absentError
		if errors.As(err, &absent) {
			fmt.Printf("%-44s absent: %s\n", p.name, absent.reason)
			continue
		}
		if err != nil {
			return false, err
		}
		now.add(p.name, per)
		fmt.Printf("%-44s %8d\n", p.name, per)
	}
	if renew {
		return true, now.write(file)
	}
	before, err := readBaseline(file)
	if errors.Is(err, os.ErrNotExist) {
		fmt.Printf("\nno baseline for %s: make instructions RENEW=1 writes it\n", runtime.GOARCH)
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return report(before, now), nil
}

// report prints the comparison, and returns whether it is passed.
func report(before, now *baseline) (ok bool) {
	changes, over := compare(before, now)
	fmt.Printf("\ncompared with the baseline (%s, %s):\n%s", before.goVersion, before.counter, strings.Join(changes, ""))
	switch {
	case over == 0:
		fmt.Printf("no path takes more than %d %% over its baseline\n", tolerance)
	case before.goVersion != now.goVersion:
		fmt.Printf("another version of Go: for information only; make instructions RENEW=1 writes a new baseline\n")
	default:
		fmt.Printf("%d too many; if that is meant to be, make instructions RENEW=1 writes a new baseline\n", over)
		return false
	}
	return true
}

// goMinor returns "go1.26" for "go1.26.8".
func goMinor(version string) string {
	version, _, _ = strings.Cut(version, " ")
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return version
	}
	return parts[0] + "." + parts[1]
}
