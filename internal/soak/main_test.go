//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/leak"
	"github.com/aioloop/aioloop/internal/testkit/guest"
)

func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv(faultEnv)); err == nil {
		os.Exit(misbehave(fault(n)))
	}
	leak.Main(m)
}

// faultEnv makes the test binary a soak in which something goes wrong. It is a
// process of its own, because a run that was broken off leaves everything open.
const faultEnv = "SOAK_FAULT"

func misbehave(f fault) (status int) {
	cfg := defaults()
	cfg.seed, cfg.duration, cfg.fault = time.Now().UnixNano(), 500*time.Millisecond, f
	switch f { // what it is not about does not hide it
	case faultWrongByte, faultLeftFile:
		cfg.only = onlyFiles
	default:
		cfg.only = onlyEvents
	}
	cfg.linger = 200 * time.Millisecond
	cfg.bound = guest.Patient(cfg.bound)
	if f == faultLostNotify {
		cfg.bound = 300 * time.Millisecond
		if guest.Is() { // an emulated machine is late in everything else too
			cfg.bound = 10 * time.Second
		}
	}
	return soakAll(cfg, []aio.Backend{aio.Ppoll}, os.Stdout)
}

// soakWith runs a soak with a fault and returns what it prints and its status.
func soakWith(t *testing.T, f fault) (stdout, stderr string, status int) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), faultEnv+"="+strconv.Itoa(int(f)), "TMPDIR="+t.TempDir()) // a run that is broken off leaves its files
	var out, errors bytes.Buffer
	child.Stdout, child.Stderr = &out, &errors
	if err := child.Run(); child.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errors.String(), child.ProcessState.ExitCode()
}
