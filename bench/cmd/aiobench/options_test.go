package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	o, err := parse([]string{"-backend", "epoll, goroutine+channel,epoll", "-scenario=wake,pingpong", "-quick", "-cpus", "0,0"})
	if err == nil {
		t.Error("one CPU twice was accepted")
	}
	if want := []string{"epoll", "goroutine+channel"}; !slices.Equal(o.config.Rows, want) {
		t.Errorf("rows are %q, want %q", o.config.Rows, want)
	}
	if want := []string{"wake", "pingpong"}; !slices.Equal(o.config.Scenarios, want) || !o.config.Quick || !o.strict {
		t.Errorf("%+v", o)
	}
}

func TestParseDefaults(t *testing.T) {
	o, err := parse(nil)
	if err != nil || o.config.Rows != nil || o.config.Scenarios != nil || o.config.Quick || o.strict {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = parse([]string{"-backend", "all"}); err != nil || o.config.Rows != nil || !o.strict {
		t.Errorf("-backend all: %+v, %v", o, err)
	}
	if o, err = parse([]string{"-h"}); !errors.Is(err, errHelp) || !strings.Contains(o.usage, "-scenario list") {
		t.Errorf("-h: %v, %q", err, o.usage)
	}
}

// Wrong words are answered with one sentence that names them.
func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"-backend=kqueue", `unknown backend "kqueue": choose from ppoll, epoll`},
		{"-backend=", "empty name"},
		{"-backend=epoll,", "empty name"},
		{"-backend=epoll,all", "all stands alone"},
		{"-backend=auto", `unknown backend "auto"`},
		{"-scenario=wake,all", "all stands alone"},
		{"-scenario=Wake", `unknown scenario "Wake": choose from wake`},
		{"-scenario=self-timer -backend=netpoller", "none of the backends"},
		{"-cpus=1", "two different numbers"},
		{"-cpus=0,1,2", "two different numbers"},
		{"-cpus=a,b", "two different numbers"},
		{"-cpus=0,99999", "CPU 99999"},
		{"-fast", "-fast"},
		{"-json", "-json"},
		{"wake", `unexpected argument "wake"`},
	} {
		_, err := parse(strings.Fields(c.args))
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q", c.args, err, c.says)
		}
	}
}

// TestRepeat: what the results say of the command line is what has to be said again, and
// no path.
func TestRepeat(t *testing.T) {
	for args, want := range map[string]string{
		"": "",
		"-quick -out=/x -json=y -html=z -name=n -version=v":                         "-quick",
		"-rounds=3 -scenario=wake,pingpong -backend=epoll -cpus=0,0 -backend=epoll": "-rounds 3 -backend epoll -scenario wake,pingpong -cpus 0,0",
	} {
		o, _ := parse(strings.Fields(args)) // this machine may lack the CPUs
		if got := strings.Join(o.repeat(), " "); got != want {
			t.Errorf("%q: %q, want %q", args, got, want)
		}
	}
}
