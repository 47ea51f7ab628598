package report

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
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
	// GOMAXPROCS is its value when the run began.
	GOMAXPROCS int `json:"gomaxprocs"`
	// GOOS and GOARCH are the platform.
	GOOS   string `json:"goos"`
	GOARCH string `json:"goarch"`
	// Filesystem is the one of the files that were read and written, for example "ext4". It is
	// empty if there were none.
	Filesystem string `json:"filesystem,omitempty"`
	// ClockNS is the median cost of reading the monotonic clock once, in
	// nanoseconds. Every latency contains about one of it.
	ClockNS float64 `json:"clock_ns"`
	// Date is the start of the run.
	Date time.Time `json:"date"`
}

// String is the machine in one line, as it stands under a picture.
func (m Machine) String() string {
	parts := []string{m.hardware(), prefixed("Linux ", m.Kernel), m.toolchain()}
	if m.GOMAXPROCS > 0 {
		parts = append(parts, fmt.Sprintf("GOMAXPROCS %d", m.GOMAXPROCS))
	}
	parts = append(parts, prefixed("files on ", m.Filesystem))
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
