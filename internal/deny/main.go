//go:build linux

// Command deny runs a program where seccomp forbids io_uring, as container engines do:
//
//	go run ./internal/deny make test
package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/aioloop/aioloop/internal/seccomp"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: deny PROGRAM [ARGUMENT]...")
		os.Exit(2)
	}
	fmt.Fprintln(os.Stderr, "deny:", run(os.Args[1:]))
	os.Exit(1)
}

// run returns only if the program is not started.
func run(command []string) error {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	if err := seccomp.Deny(syscall.EPERM, seccomp.IOUring...); err != nil {
		return err
	}
	return syscall.Exec(path, command, os.Environ())
}
