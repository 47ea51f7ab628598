package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/aioloop/aioloop/bench"
	"github.com/aioloop/aioloop/bench/report"
)

// options is a parsed command line.
type options struct {
	config bench.Config
	// strict is set if backends were asked for: each has to run then.
	strict              bool
	json, html, out     string
	raw                 string
	name, version       string
	list                bool
	usage               string
	backends, scenarios string
	cpus                string
}

// errHelp is returned by parse for -help.
var errHelp = errors.New("help")

// standardOut is where the results are kept if nothing else was asked for: a run of
// minutes is not lost to whatever reads the screen.
const standardOut = "aiobench-out"

// What -backend and -scenario take instead of names.
const (
	all       = "all"
	available = "available"
)

func (o *options) flags() *flag.FlagSet {
	f := flag.NewFlagSet("aiobench", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.backends, "backend", available, "measure the rows of this `list`: "+strings.Join(bench.Rows(), ", ")+
		";\nall is every one; available is every one that can run here")
	f.StringVar(&o.scenarios, "scenario", all, "measure the scenarios of this `list`, see -list; all is every one")
	f.BoolVar(&o.config.Quick, "quick", false, "take less than an eighth of the time and leave settings of the parameters out, for a first look; the tails of the distributions mean little then")
	f.IntVar(&o.config.Rounds, "rounds", 0, "give each row its turn in so many `rounds` (default 5, or 2 with -quick)")
	f.StringVar(&o.json, "json", "", "write the results to this `file` as one JSON object")
	f.StringVar(&o.html, "html", "", "write the report to this `file` as one HTML page")
	f.StringVar(&o.out, "out", standardOut, "write table.txt, results.json and report.html into this `folder`, which is made if it is not there")
	f.StringVar(&o.raw, "raw", "", "write each sample into a file of this `folder`: one for each row and setting, in nanoseconds, one on each line, in the order of time")
	f.StringVar(&o.config.FileDir, "file-dir", "", "put the files of the scenarios file-* and coroutine into this `folder`, and remove them at the end (default: the folder of the results, the working folder or /var/tmp, the first that is no tmpfs)")
	f.StringVar(&o.name, "name", "", "call the run by this `name` in the results")
	f.StringVar(&o.version, "version", "", "say in the results that this `version` was measured, as git describe prints it")
	f.StringVar(&o.cpus, "cpus", "", "pin to these two CPUs, as in 2,3: the loop to the first and who wakes it to the second (default: the first two that may be used)")
	f.BoolVar(&o.list, "list", false, "print the names of scenarios and backends, and measure nothing")
	return f
}

// parse reads the command line. Its errors are sentences for the user.
func parse(args []string) (*options, error) {
	o := &options{}
	f := o.flags()
	o.usage = usage(f)
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		return o, errHelp
	} else if err != nil {
		return o, fmt.Errorf("%w (aiobench -help shows the flags)", err)
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q: everything is said with flags (aiobench -help shows them)", f.Arg(0))
	}
	return o, o.resolve()
}

// repeat is the part of the command line that repeats the same measurements.
func (o *options) repeat() (args []string) {
	if o.config.Quick {
		args = append(args, "-quick")
	}
	if o.config.Rounds > 0 {
		args = append(args, "-rounds", strconv.Itoa(o.config.Rounds))
	}
	for _, f := range []struct{ name, value, standard string }{
		{"-backend", o.backends, available}, {"-scenario", o.scenarios, all}, {"-cpus", o.cpus, ""},
	} {
		if f.value != f.standard {
			args = append(args, f.name, f.value)
		}
	}
	return args
}

func usage(f *flag.FlagSet) string {
	var b strings.Builder
	b.WriteString("usage: aiobench [flags]\n\nCompares the backends of aioloop on this machine and prints a table.\n\n")
	f.SetOutput(&b)
	f.PrintDefaults()
	f.SetOutput(io.Discard)
	return b.String()
}

// resolve turns the words into a bench.Config and checks it.
func (o *options) resolve() (err error) {
	o.strict = o.backends != available
	if o.config.Rows, err = names("-backend", o.backends, all, available); err != nil {
		return err
	}
	if o.config.Scenarios, err = names("-scenario", o.scenarios, all); err != nil {
		return err
	}
	if o.config.CPUs, err = cpuPair(o.cpus); err != nil {
		return err
	}
	return o.config.Check()
}

// names splits a list; nil, which stands for everything, if it is one of words.
func names(flag, list string, words ...string) ([]string, error) {
	if slices.Contains(words, list) {
		return nil, nil
	}
	var result []string
	for name := range strings.SplitSeq(list, ",") {
		switch name = strings.TrimSpace(name); {
		case name == "":
			return nil, fmt.Errorf("%s %q: there is an empty name in the list", flag, list)
		case slices.Contains(words, name):
			return nil, fmt.Errorf("%s %q: %s stands alone", flag, list, name)
		case !slices.Contains(result, name):
			result = append(result, name)
		}
	}
	return result, nil
}

func cpuPair(list string) ([]int, error) {
	if list == "" {
		return nil, nil
	}
	var cpus []int
	for word := range strings.SplitSeq(list, ",") {
		cpu, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || cpu < 0 || slices.Contains(cpus, cpu) {
			cpus = nil
			break
		}
		cpus = append(cpus, cpu)
	}
	if len(cpus) != 2 {
		return nil, fmt.Errorf("-cpus %q: give two different numbers, as in 0,1", list)
	}
	return cpus, nil
}

// available returns the rows to measure, and those that were not asked for by name
// and cannot run here. A program in C that was not built is among these unless it
// was named itself.
func (o *options) available() (rows []string, missing []report.Absence, err error) {
	rows = o.config.Rows
	named := rows != nil
	if !named {
		rows = bench.RowsIn(o.config.Chosen())
	}
	can := rows[:0:0]
	for _, row := range rows {
		err := bench.Available(row)
		switch {
		case err == nil:
			can = append(can, row)
		case o.strict && (named || !bench.IsPeer(row)):
			return nil, nil, fmt.Errorf("backend %s was asked for and cannot run here: %w", row, err)
		default:
			missing = append(missing, report.Absence{Row: row, Why: err.Error()})
		}
	}
	return can, missing, nil
}

func printList(w io.Writer) {
	fmt.Fprintln(w, "scenarios:")
	for _, s := range bench.Scenarios() {
		fmt.Fprintf(w, "  %-14s %s\n", s.Name, s.Short)
		if s.Varied != "" {
			fmt.Fprintf(w, "  %-14s   %s\n", "", s.Varied)
		}
	}
	fmt.Fprintln(w, "backends and what they are compared with:")
	for _, row := range bench.Rows() {
		line := "  " + row
		if err := bench.Available(row); err != nil {
			line += ": cannot run here: " + err.Error()
		}
		fmt.Fprintln(w, line)
	}
}
