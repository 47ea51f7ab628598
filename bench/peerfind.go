package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// peersFolder is where bench/peers/Makefile puts the programs.
const peersFolder = "bench/peers/bin"

// findPeer returns the path of a program, built before, in the source tree that the
// working folder is a part of. Its error says why there is none.
func findPeer(name string) (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		path := filepath.Join(folder, peersFolder, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
		if why, err := os.ReadFile(path + ".absent"); err == nil {
			return "", errors.New(firstLine(string(why)))
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", errNotBuilt
		}
		folder = parent
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// errNotBuilt is the same for all programs, so that a report says it once.
var errNotBuilt = errors.New("it was not built: make peers-deps, as root on Debian or Ubuntu, installs what that takes, and make bench builds it")

// probes are what the programs answered when they were asked whether they can run.
// The kernel does not change its mind while a benchmark runs.
var probes sync.Map // of func() error, by path and mode

// available returns why a peer cannot be measured here, or nil.
func (p peerRow) available() error {
	if p.apart && len(listCPUs(&allowed)) < 2 {
		return errors.New("it needs two CPUs, and this process may use one only")
	}
	path, err := findPeer(p.program)
	if err != nil {
		return err
	}
	probe, _ := probes.LoadOrStore(path+" "+p.mode, sync.OnceValue(func() error { return p.probe(path) }))
	return probe.(func() error)()
}

// probe has it wake a loop a few times, wherever the kernel likes.
func (p peerRow) probe(path string) error {
	args := []string{p.mode, "-raw", "-cpu", "none", "-n", "3", "-warmup", "0"}
	if p.program == "fileio" {
		name, err := smallFile()
		if err != nil {
			return err
		}
		defer os.Remove(name)
		args = append(args, "-scenario", fileRead, "-file", name, "-span", fmt.Sprint(smallSize))
	}
	_, err := p.run(path, args)
	return err
}

// smallSize is how many bytes a small file has: one block.
const smallSize = 4096

// smallFile makes a file that is large enough to see whether it can be read.
func smallFile() (name string, err error) {
	file, err := os.CreateTemp("", "aiobench-")
	if err != nil {
		return "", err
	}
	_, err = file.Write(make([]byte, smallSize))
	if err = errors.Join(err, file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), nil
}
