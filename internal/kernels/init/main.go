//go:build linux

// Command init is the first and only program of the guest. It mounts what tests
// expect, says what the kernel can do and which backend auto chooses, runs the jobs
// that it finds, and switches the machine off. Called cat, it is cat(1).
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/feature"
	"github.com/aioloop/aioloop/internal/kernels/protocol"
	"github.com/aioloop/aioloop/internal/testkit/guest"
)

func main() {
	if filepath.Base(os.Args[0]) == "cat" {
		cat()
		return
	}
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "init: this is for the virtual machines of make kernels: it switches the machine off")
		os.Exit(2)
	}
	defer powerOff()
	if err := prepare(); err != nil {
		fmt.Println("init:", err)
		return
	}
	jobs, err := readJobs()
	if err != nil {
		fmt.Println("init:", err)
		return
	}
	report()
	number := guest.Number()
	for i := range jobs {
		if jobs[i].RunsIn(number) {
			run(&jobs[i])
		}
	}
	say(protocol.Done)
}

// cat is what the benchmark talks to as another process.
func cat() {
	var buf [4096]byte
	for {
		n, err := os.Stdin.Read(buf[:])
		if err != nil {
			return
		}
		if _, err := os.Stdout.Write(buf[:n]); err != nil {
			return
		}
	}
}

// say writes one line of the protocol.
func say(k protocol.Kind, fields ...string) {
	os.Stdout.WriteString(protocol.Line(k, fields...) + "\n")
}

func readJobs() (jobs []protocol.Job, err error) {
	b, err := os.ReadFile(protocol.JobsFile)
	if err != nil {
		return nil, err
	}
	return jobs, json.Unmarshal(b, &jobs)
}

// report tells the kernel's release, its features, and what auto chooses.
func report() {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		say(protocol.Kernel, err.Error(), "")
	} else {
		say(protocol.Kernel, unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]))
	}
	for _, f := range feature.All() {
		outcome, err := f.Check()
		say(protocol.Feature, f.Name, outcome.String(), text(err))
	}
	loop, err := aio.New()
	if err != nil {
		say(protocol.Backend, "none", err.Error())
		return
	}
	defer loop.Close()
	say(protocol.Backend, loop.Backend().Name, loop.Backend().Reason)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// powerOff ends the machine. Nothing is on a disk, so there is nothing to sync; the
// serial line gets a moment to drain.
func powerOff() {
	if r := recover(); r != nil {
		fmt.Println("init: panic:", strings.ReplaceAll(fmt.Sprint(r), "\n", " "))
	}
	time.Sleep(100 * time.Millisecond)
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}
