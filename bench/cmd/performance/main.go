// Command performance writes docs/performance.md, with its pictures and tables, from the
// results of one run of aiobench.
//
//	go run ./bench/cmd/performance -from bench/out/results.json
//
// The page lies in the folder that -to names, everything else in a folder "performance"
// beside it, whose pictures from earlier are removed. It prints how many
// comparisons were won. The exit status is 2 if the call is wrong and 1 if
// anything else fails.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/aioloop/aioloop/bench"
	"github.com/aioloop/aioloop/bench/report"
)

// folder holds everything but the page itself.
const folder = "performance"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main without the process. It returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("performance", flag.ContinueOnError)
	f.SetOutput(stderr)
	from := f.String("from", "", "the results, a `file` that aiobench has written")
	to := f.String("to", "docs", "write performance.md and the folder performance into this `folder`")
	name := f.String("name", "", "call the run by this `name` (default: the one in the results)")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case *from == "" || f.NArg() > 0:
		fmt.Fprintln(stderr, "performance: -from is needed, and nothing but flags (-help shows them)")
		return 2
	}
	if err := write(*from, *to, *name, stdout); err != nil {
		fmt.Fprintln(stderr, "performance:", err)
		return 1
	}
	return 0
}

func write(from, to, name string, stdout io.Writer) error {
	r, err := read(from)
	if err != nil {
		return err
	}
	if name != "" {
		if r.Run == nil {
			r.Run = new(report.Run)
		}
		r.Run.Name = name
	}
	p, err := newPage(r, folder)
	if err != nil {
		return err
	}
	if err := writeFiles(filepath.Join(to, folder), p.files); err != nil {
		return err
	}
	path := filepath.Join(to, "performance.md")
	if err := os.WriteFile(path, p.text, 0o666); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s\nWritten: %s and %d files in %s\n", p.score, path, len(p.files), filepath.Join(to, folder))
	return nil
}

func read(path string) (*report.Report, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r, err := report.ReadJSON(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	r.Description = bench.DescriptionOn(r.Machine)
	return r, nil
}

// writeFiles replaces what an earlier call has left in the folder.
func writeFiles(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if files[e.Name()] == nil && strings.HasSuffix(e.Name(), ".svg") {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o666); err != nil {
			return err
		}
	}
	return nil
}
