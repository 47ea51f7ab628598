package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/aioloop/aioloop/bench"
)

// progress says how far the run is: on a terminal in one line that changes, elsewhere in
// one line for each finished scenario. It writes only when it is called, between
// measurements: a clock that ticks would disturb them.
type progress struct {
	w     io.Writer
	fd    int // of the terminal; -1 if w is none
	last  bench.Step
	width int // of what is in the line that changes
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, fd: -1}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.fd = int(f.Fd())
	}
	return p
}

func (p *progress) step(s bench.Step) {
	p.last = s
	switch left := s.Left.Round(time.Second); {
	case s.Row != "":
		p.line(fmt.Sprintf("[%*d/%d] %s, round %d of %d, %s; %v left", digits(s.Groups), s.Done+1, s.Groups,
			s.Group, s.Round, s.Rounds, s.Row, left))
	case s.Finished != "" && p.fd < 0:
		fmt.Fprintf(p.w, "[%*d/%d] %s is finished; %v left\n", digits(s.Groups), s.Done, s.Groups, s.Finished, left)
	}
}

// end removes the line that changes.
func (p *progress) end() { p.line("") }

// line replaces the line that changes, cut to the width of the terminal so that it
// stays one line.
func (p *progress) line(text string) {
	if p.fd < 0 {
		return
	}
	if columns, _, err := term.GetSize(p.fd); err == nil && columns > 0 && utf8.RuneCountInString(text) >= columns {
		text = string([]rune(text)[:columns-1])
	}
	width := utf8.RuneCountInString(text)
	fmt.Fprint(p.w, "\r", text, strings.Repeat(" ", max(p.width-width, 0)), "\r")
	p.width = width
}

func digits(n int) int { return len(fmt.Sprint(n)) }
