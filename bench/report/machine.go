package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Machine says where results come from, in as far as it explains them. It holds
// nothing that names a person or a computer. Fields that could not be found out
// are empty.
type Machine struct {
	// Kernel is the release of the running kernel, for example "6.18.2".
	Kernel string `json:"kernel"`
	// CPU is the model of the processor.
	CPU string `json:"cpu"`
	// CPUs is the number of logical CPUs that the process may use.
	CPUs int `json:"cpus"`
	// Governor is the frequency governor of the first CPU, if it has one.
	Governor string `json:"governor,omitempty"`
	// Virtualization names the hypervisor, "virtual machine" if there is one
	// without a name, and is empty on hardware.
	Virtualization string `json:"virtualization,omitempty"`
	// Go is the version of the Go toolchain, for example "go1.26.0".
	Go string `json:"go"`
	// GOMAXPROCS is its value when ReadMachine was called.
	GOMAXPROCS int `json:"gomaxprocs"`
	// GOOS and GOARCH are the platform.
	GOOS   string `json:"goos"`
	GOARCH string `json:"goarch"`
	// ClockNS is the median cost of reading the monotonic clock once, in
	// nanoseconds. Every latency contains about one of it.
	ClockNS float64 `json:"clock_ns"`
	// Date is the start of the run.
	Date time.Time `json:"date"`
}

// ReadMachine describes the machine it runs on. It takes about a millisecond,
// most of it to measure the clock, and never fails: what cannot be read stays
// empty.
func ReadMachine() Machine {
	root := os.DirFS("/")
	return Machine{
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

// String is the machine in one line, as it stands under a picture.
func (m Machine) String() string {
	parts := []string{m.hardware(), prefixed("Linux ", m.Kernel), m.toolchain()}
	if m.GOMAXPROCS > 0 {
		parts = append(parts, fmt.Sprintf("GOMAXPROCS %d", m.GOMAXPROCS))
	}
	if !m.Date.IsZero() {
		parts = append(parts, m.Date.Format(time.DateOnly))
	}
	return joinNonEmpty(" · ", parts...)
}

// hardware is the processor, how many of it, and what may slow it down.
func (m Machine) hardware() string {
	count := ""
	switch {
	case m.CPUs == 1:
		count = "1 CPU"
	case m.CPUs > 1:
		count = fmt.Sprintf("%d CPUs", m.CPUs)
	}
	return joinNonEmpty(", ", m.CPU, count, prefixed("governor ", m.Governor), m.Virtualization)
}

func (m Machine) toolchain() string {
	platform := joinNonEmpty("/", m.GOOS, m.GOARCH)
	return joinNonEmpty(" ", m.Go, platform)
}

func (m Machine) validate() error {
	if m.CPUs < 0 || m.GOMAXPROCS < 0 {
		return errors.New("a number of CPUs is negative")
	}
	if y := m.Date.Year(); y < 0 || y > 9999 {
		return fmt.Errorf("date: year %d cannot be written", y)
	}
	return checkFigure("clock_ns", m.ClockNS)
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
	return joinNonEmpty(" ", readLine(root, "sys/class/dmi/id/sys_vendor"), "virtual machine")
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

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

func joinNonEmpty(sep string, parts ...string) string {
	parts = slices.DeleteFunc(slices.Clone(parts), func(s string) bool { return s == "" })
	return strings.Join(parts, sep)
}
