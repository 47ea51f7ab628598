//go:build linux

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// baseline is a list of paths and their instructions per operation.
type baseline struct {
	goVersion string
	counter   string
	names     []string
	per       map[string]int
}

func (b *baseline) add(name string, per int) {
	if b.per == nil {
		b.per = make(map[string]int)
	}
	if _, known := b.per[name]; !known {
		b.names = append(b.names, name)
	}
	b.per[name] = per
}

// write makes a file of a first line that says with what, and a line for each path.
func (b *baseline) write(file string) error {
	var s strings.Builder
	fmt.Fprintf(&s, "# %s, %s; written by make instructions RENEW=1\n", b.goVersion, b.counter)
	for _, name := range b.names {
		fmt.Fprintf(&s, "%d\t%s\n", b.per[name], name)
	}
	return os.WriteFile(file, []byte(s.String()), 0o644)
}

func readBaseline(file string) (*baseline, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	b := new(baseline)
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if head, ok := strings.CutPrefix(line, "# "); ok {
			head, _, _ = strings.Cut(head, ";")
			b.goVersion, b.counter, _ = strings.Cut(head, ", ")
			continue
		}
		if line == "" {
			continue
		}
		number, name, _ := strings.Cut(line, "\t")
		per, err := strconv.Atoi(number)
		if err != nil || name == "" {
			return nil, fmt.Errorf("%s: what is %q?", file, line)
		}
		b.add(name, per)
	}
	return b, nil
}

// compare returns a line for each path, and how many take too much. A path that
// takes few instructions may take two more.
func compare(before, now *baseline) (lines []string, over int) {
	for _, name := range now.names {
		was, known := before.per[name]
		is := now.per[name]
		if !known {
			lines = append(lines, fmt.Sprintf("%-44s %8d, new\n", name, is))
			continue
		}
		verdict := ""
		if is > was+max(was*tolerance/100, 2) {
			verdict = "  TOO MANY"
			over++
		}
		lines = append(lines, fmt.Sprintf("%-44s %8d -> %8d  %+6.1f %%%s\n", name, was, is, 100*float64(is-was)/float64(max(was, 1)), verdict))
	}
	for _, name := range before.names {
		if _, counted := now.per[name]; !counted {
			lines = append(lines, fmt.Sprintf("%-44s %8d -> not counted here\n", name, before.per[name]))
		}
	}
	return lines, over
}
