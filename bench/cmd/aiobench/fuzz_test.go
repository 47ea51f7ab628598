package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aioloop/aioloop/bench"
)

// FuzzParse: a command line, one argument on each line, is either a configuration
// that can run or one sentence for the user that names a word of it.
func FuzzParse(f *testing.F) {
	for _, args := range []string{
		"", "-quick", "-h", "-backend\nepoll, ppoll,epoll", "-backend=all\n-scenario=wake", "-scenario=", "-cpus\n0,1", "-cpus=1,1",
		"-cpus=0,-1", "-json", "--\nwake", "-quick=maybe", "-=", "---", "-out=x\n-json=y\n-html=z\n-list", "-backend=available,epoll",
	} {
		f.Add(args)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, "\n")
		o, err := parse(args)
		switch {
		case errors.Is(err, errHelp):
			if o.usage == "" {
				t.Error("help without a text")
			}
		case err != nil:
			checkParseError(t, args, err)
		default:
			checkParsed(t, o)
		}
	})
}

func checkParseError(t *testing.T, args []string, err error) {
	t.Helper()
	says := err.Error()
	if strings.Contains(says, "\n") {
		t.Errorf("%q: more than one line: %q", args, says)
	}
	named := slices.ContainsFunc([]string{"-backend", "-scenario", "-cpus", "backend", "scenario", "CPU"}, func(word string) bool {
		return strings.Contains(says, word) && strings.Contains(strings.Join(args, " "), strings.ToLower(word))
	})
	if !named && !slices.ContainsFunc(args, func(arg string) bool { return mentions(says, arg) }) {
		t.Errorf("%q: the sentence names none of it: %q", args, says)
	}
}

// mentions looks for an argument, or a flag's name or value, plain or quoted.
func mentions(says, arg string) bool {
	name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	for _, word := range []string{arg, name, value} {
		if word != "" && (strings.Contains(says, word) || strings.Contains(says, strings.Trim(strconv.Quote(word), `"`))) {
			return true
		}
	}
	return strings.Contains(says, strconv.Quote(arg))
}

func checkParsed(t *testing.T, o *options) {
	t.Helper()
	if err := o.config.Check(); err != nil {
		t.Errorf("accepted, and cannot run: %v", err)
	}
	for _, row := range o.config.Rows {
		if !slices.Contains(bench.Rows(), row) {
			t.Errorf("accepted row %q", row)
		}
	}
	rows, cpus := slices.Sorted(slices.Values(o.config.Rows)), o.config.CPUs
	if len(slices.Compact(rows)) != len(o.config.Rows) {
		t.Errorf("a row twice: %q", o.config.Rows)
	}
	if cpus != nil && (len(cpus) != 2 || cpus[0] == cpus[1] || min(cpus[0], cpus[1]) < 0) {
		t.Errorf("accepted CPUs %v", cpus)
	}
}
