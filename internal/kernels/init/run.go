//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/kernels/protocol"
)

// run runs one job and tells what came of it.
func run(j *protocol.Job) {
	restore, err := setSysctls(j.Sysctl)
	defer restore()
	if err != nil {
		say(protocol.Refused, j.Name, err.Error())
		return
	}
	say(protocol.Begin, j.Name)
	start := time.Now()
	err = loadModules(j.Modules)
	if err == nil && j.Disk {
		err = mountDisk()
	}
	if err == nil {
		err = command(j)
	}
	result := protocol.OK
	if err != nil {
		result = err.Error()
	}
	killTheRest()
	say(protocol.End, j.Name, result, strconv.FormatInt(time.Since(start).Milliseconds(), 10))
}

// setSysctls returns an error that says which setting this kernel does not have.
func setSysctls(values map[string]string) (restore func(), err error) {
	old := map[string]string{}
	restore = func() {
		for path, value := range old {
			_ = os.WriteFile(path, []byte(value), 0)
		}
	}
	for name, value := range values {
		path := "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
		before, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return restore, fmt.Errorf("this kernel has no sysctl %s", name)
		}
		if err != nil {
			return restore, err
		}
		if err := os.WriteFile(path, []byte(value), 0); err != nil {
			return restore, err
		}
		old[path] = string(before)
	}
	return restore, nil
}

// command runs the job's command with its output on the console, line by line.
func command(j *protocol.Job) error {
	cmd := exec.Command(j.Args[0], j.Args[1:]...)
	cmd.Dir = j.Dir
	cmd.Env = append(os.Environ(), j.Env...)
	if j.Disk {
		cmd.Env = append(cmd.Env, "TMPDIR="+diskDir)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // not Setsid: a session leader gets every tty that it opens
	if j.UID != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(j.UID), Gid: uint32(j.UID)}
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd.Stdout, cmd.Stderr = w, w
	err = startOn(j.CPUs, cmd)
	w.Close()
	if err != nil {
		return err
	}
	printed := make(chan struct{})
	go func() { defer close(printed); printLines(r) }()
	err = waitOrKill(cmd, j.Limit)
	killTheRest() // or a child that holds the pipe keeps us waiting
	<-printed
	return err
}

// startOn starts cmd on the first n CPUs. The thread that did it is given up, and
// its mask with it.
func startOn(n int, cmd *exec.Cmd) error {
	if n == 0 {
		return cmd.Start()
	}
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		var set unix.CPUSet
		for i := range n {
			set.Set(i)
		}
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			result <- err
			return
		}
		result <- cmd.Start()
	}()
	return <-result
}

func waitOrKill(cmd *exec.Cmd, limit time.Duration) error {
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		<-done
		return fmt.Errorf("killed after %v", limit)
	}
}

// printLines copies whole lines, so that no other output gets in between.
func printLines(r io.Reader) {
	b := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := b.ReadString('\n')
		if line != "" {
			say(protocol.Output, strings.TrimRight(line, "\n"))
		}
		if err != nil {
			return
		}
	}
}

// killTheRest ends every process but this one, and waits for them.
func killTheRest() {
	_ = unix.Kill(-1, unix.SIGKILL)
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); err != nil && err != unix.EINTR {
			return
		}
	}
}
