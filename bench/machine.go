package bench

import (
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/bench/report"
)

// ReadMachine describes the machine it runs on. It takes about a millisecond,
// most of it to measure the clock, and never fails: what cannot be read stays
// empty.
func ReadMachine() report.Machine {
	root := os.DirFS("/")
	return report.Machine{
		Kernel:         kernelRelease(),
		CPU:            cpuModel(root),
		CPUs:           runtime.NumCPU(),
		Governor:       readLine(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
		Virtualization: virtualization(root),
		Go:             runtime.Version(),
		GOMAXPROCS:     runtime.GOMAXPROCS(0),
		GOOS:           runtime.GOOS,
		GOARCH:         runtime.GOARCH,
		ClockNS:        clockCost(),
		Date:           time.Now().UTC().Truncate(time.Second),
	}
}

func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// cpuModel looks where x86, then RISC-V, then boards with a device tree keep
// the name: the kernel has no field that all architectures fill.
func cpuModel(root fs.FS) string {
	info := readFile(root, "proc/cpuinfo")
	for _, key := range []string{"model name", "uarch", "cpu model", "Model"} {
		if v := cpuinfoField(info, key); v != "" {
			return v
		}
	}
	return readLine(root, "proc/device-tree/model")
}

func cpuinfoField(info, key string) string {
	for line := range strings.Lines(info) {
		k, v, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(k) == key {
			return strings.Join(strings.Fields(v), " ")
		}
	}
	return ""
}

// virtualization asks the sources from the most to the least telling. The
// vendor of the firmware counts only if the CPU says that there is a
// hypervisor, because real computers have vendors too.
func virtualization(root fs.FS) string {
	if kind := readLine(root, "sys/hypervisor/type"); kind != "" {
		return kind + " virtual machine"
	}
	if kind := readLine(root, "proc/device-tree/hypervisor/compatible"); kind != "" {
		return kind + " virtual machine"
	}
	flags := strings.Fields(cpuinfoField(readFile(root, "proc/cpuinfo"), "flags"))
	if !slices.Contains(flags, "hypervisor") {
		return ""
	}
	return strings.TrimSpace(readLine(root, "sys/class/dmi/id/sys_vendor") + " virtual machine")
}

// clockCost is the median over many short runs, so that an interrupt in one of
// them does not count.
func clockCost() float64 {
	const runs, reads = 101, 100
	start := time.Now()
	costs := make([]time.Duration, runs)
	for i := range costs {
		before := time.Since(start)
		for range reads - 1 {
			_ = time.Since(start)
		}
		costs[i] = time.Since(start) - before
	}
	slices.Sort(costs)
	return float64(costs[runs/2].Nanoseconds()) / reads
}

func readFile(root fs.FS, name string) string {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return string(b)
}

// readLine returns the first line; device trees end theirs with a zero byte.
func readLine(root fs.FS, name string) string {
	line, _, _ := strings.Cut(readFile(root, name), "\n")
	line, _, _ = strings.Cut(line, "\x00")
	return strings.TrimSpace(line)
}
