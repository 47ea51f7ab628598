//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// counter is a program that runs another one and counts its instructions.
type counter struct {
	name    string
	command []string
	figure  *regexp.Regexp // in what it prints
}

func (c *counter) String() string { return c.name }

// findCounter returns perf if it counts here, or else valgrind. Both count what
// the process does in user space, on all threads.
func findCounter() (*counter, error) {
	perf := &counter{
		name:    "perf",
		command: []string{"perf", "stat", "-x", ",", "-e", "instructions:u"},
		figure:  regexp.MustCompile(`(?m)^(\d+),[^,]*,instructions:u,`),
	}
	why := perf.works()
	if why == nil {
		return perf, nil
	}
	valgrind := &counter{
		name: "valgrind",
		// Cachegrind's count is lackey's, at half the price.
		command: []string{"valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=" + os.DevNull},
		figure:  regexp.MustCompile(`(?m)^==\d+== I +refs: +([\d,]+)$`),
	}
	if err := valgrind.works(); err != nil {
		return nil, fmt.Errorf("%w; %w: install valgrind", why, err)
	}
	return valgrind, nil
}

// works says why c cannot be used.
func (c *counter) works() error {
	if _, err := exec.LookPath(c.command[0]); err != nil {
		return fmt.Errorf("%s is not installed", c.name)
	}
	if _, err := c.run("true"); err != nil {
		return fmt.Errorf("%s counts no instructions here", c.name)
	}
	return nil
}

// run returns how many instructions a command takes.
func (c *counter) run(args ...string) (int, error) {
	cmd := exec.Command(c.command[0], append(c.command[1:], args...)...)
	// One P, no collector and no signals: what is counted is the path.
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1", "AIOLOOP_BACKEND=")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return 0, c.failure(err, out.String())
	}
	var n int
	found := c.figure.FindAllStringSubmatch(out.String(), -1)
	for _, m := range found { // one for each process, in valgrind's case
		k, err := strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
		if err != nil {
			return 0, err
		}
		n += k
	}
	if n == 0 {
		return 0, fmt.Errorf("%s has counted nothing: %s", c.name, out.String())
	}
	return n, nil
}

// absentError says why a path cannot be gone through here.
type absentError struct{ reason string }

func (e *absentError) Error() string { return e.reason }

const (
	absentStatus = 3
	absentPrefix = "absent: "
)

func (c *counter) failure(err error, out string) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == absentStatus {
		for line := range strings.Lines(out) {
			if reason, ok := strings.CutPrefix(strings.TrimSpace(line), absentPrefix); ok {
				return &absentError{reason}
			}
		}
	}
	return fmt.Errorf("%s: %w\n%s", filepath.Base(c.command[0]), err, out)
}

const (
	operations = 5000
	// Whatever disturbs a count adds to it, so the least of several is the best.
	attempts = 2
)

// perOperation returns what one operation of a path takes.
func (c *counter) perOperation(path string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	var least [2]int
	for range attempts {
		for i, n := range []int{operations, 2 * operations} {
			counted, err := c.run(self, "-child", path, "-n", strconv.Itoa(n))
			if err != nil {
				return 0, err
			}
			if least[i] == 0 || counted < least[i] {
				least[i] = counted
			}
		}
	}
	return (least[1] - least[0] + operations/2) / operations, nil
}
