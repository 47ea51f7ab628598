package bench

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// peer is a program of bench/peers. It is started anew for each round, and tells
// its samples one by one.
type peer struct {
	path string
	args []string
	pace time.Duration // of one round trip, measured by the first run
}

// peersFolder is where bench/peers/Makefile puts the programs.
const peersFolder = "bench/peers/bin"

// findPeer returns the path of a program, built before, in the source tree that the
// working folder is a part of.
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
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", fmt.Errorf("%s/%s was not built (make -C bench/peers, which needs a C compiler and the library's headers)", peersFolder, name)
		}
		folder = parent
	}
}

// count says how many round trips make up a budget.
func (p *peer) count(b budget) (int64, error) {
	if b.ops > 0 {
		return b.ops, nil
	}
	if p.pace == 0 {
		start := now()
		if _, _, err := p.run(peerProbe); err != nil {
			return 0, err
		}
		p.pace = max((now()-start)/(peerProbe+peerWarm), 1)
	}
	return max(int64((b.until-now())/p.pace), b.least, 1), nil
}

// run makes n round trips.
func (p *peer) run(n int64) (samples []time.Duration, cpu time.Duration, err error) {
	args := append(p.args[:len(p.args):len(p.args)], "-n", fmt.Sprint(n), "-warmup", fmt.Sprint(peerWarm), "-raw")
	var stderr bytes.Buffer
	cmd := exec.Command(p.path, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w: %s", filepath.Base(p.path), err, strings.TrimSpace(stderr.String()))
	}
	return parsePeer(out, n)
}

// parsePeer reads a line of JSON, and behind it each sample in nanoseconds, as 64
// bits in the byte order of the machine.
func parsePeer(out []byte, n int64) (samples []time.Duration, cpu time.Duration, err error) {
	line, raw, _ := bytes.Cut(out, []byte("\n"))
	var head struct {
		CPUNSPerOp float64 `json:"cpu_ns_per_op"`
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return nil, 0, fmt.Errorf("the peer's output: %w", err)
	}
	if int64(len(raw)) != 8*n {
		return nil, 0, fmt.Errorf("the peer's output: %d bytes of samples instead of %d: it is out of date, make -C bench/peers", len(raw), 8*n)
	}
	samples = make([]time.Duration, n)
	for i := range samples {
		samples[i] = time.Duration(binary.NativeEndian.Uint64(raw[8*i:]))
	}
	return samples, time.Duration(head.CPUNSPerOp * float64(n)), nil
}
