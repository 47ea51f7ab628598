//go:build linux

// Package protocol is what the tool on the host and the init in the guest have to
// agree on: the jobs that are packed into the initramfs, and the lines that come
// back over the serial console.
package protocol

import (
	"slices"
	"strings"
	"time"
)

// JobsFile is where the init finds its jobs: a JSON array of Job.
const JobsFile = "/jobs.json"

// ModuleOrder is a JSON object: which modules of the kernel to load for a module, in
// order, the module itself last. Names are the kernel's, with underscores.
const ModuleOrder = "/modules/order.json"

// ModuleFile is where the init finds a module.
func ModuleFile(name string) string { return "/modules/" + name + ".ko" }

// OptionalModule ends the name of a module that only some kernels have, or need.
const OptionalModule = "?"

// DiskModules are what Job.Disk needs. Before Linux 6.16 ext4 asks for a checksum by name.
var DiskModules = []string{"brd", "crc32c-generic" + OptionalModule, "ext4"}

// DiskFile has an ext4 filesystem of DiskSize bytes for a disk of zeros: its blocks of DiskBlock
// bytes that have something else, each after its offset, 8 bytes, the lowest first.
const (
	DiskFile  = "/disk"
	DiskBlock = 4096
	DiskSize  = 128 << 20
)

// Job is one command that the guest runs.
type Job struct {
	Name  string // a row of the table
	Args  []string
	Env   []string // in addition to the init's own
	Dir   string
	Limit time.Duration // after which the command and all that it started are killed

	Modules []string `json:",omitempty"` // of the kernel, loaded before
	Disk    bool     `json:",omitempty"` // temporary files are on a disk: ext4, which has O_DIRECT

	Sysctl map[string]string `json:",omitempty"` // set before, and put back afterwards
	CPUs   int               `json:",omitempty"` // runs on the first CPUs only; 0: on all
	UID    int               `json:",omitempty"` // 0: as root

	Guests []int `json:",omitempty"` // the numbers of those that run it; all if empty
}

// RunsIn reports whether the guest of a number runs the job.
func (j *Job) RunsIn(number int) bool { return len(j.Guests) == 0 || slices.Contains(j.Guests, number) }

// Kind is the first word of a line of the protocol.
type Kind string

// The kinds of lines, with their fields.
const (
	Kernel  Kind = "kernel"  // release, machine
	Feature Kind = "feature" // name, outcome, error
	Backend Kind = "backend" // name, reason
	Begin   Kind = "begin"   // job
	Output  Kind = "output"  // a line of the job's output
	End     Kind = "end"     // job, how it ended (OK, or what went wrong), milliseconds
	Refused Kind = "refused" // job, why it cannot run on this kernel
	Done    Kind = "done"    // nothing: all jobs have been run
)

// OK is how a job ended that exited with 0.
const OK = "ok"

// mark begins each line of the protocol; everything else on the console is the kernel's.
const mark = "@aioloop@"

// Line formats a line, without its line feed.
func Line(k Kind, fields ...string) string {
	clean := strings.NewReplacer("\t", " ", "\n", " ", "\r", "")
	var b strings.Builder
	b.WriteString(mark + string(k))
	for _, f := range fields {
		b.WriteString("\t" + clean.Replace(f))
	}
	return b.String()
}

// Parse takes a line of the console apart. It finds the mark anywhere, because the
// kernel may have written the beginning of the line.
func Parse(line string) (k Kind, fields []string, ok bool) {
	_, rest, ok := strings.Cut(strings.TrimRight(line, "\r\n"), mark)
	if !ok {
		return "", nil, false
	}
	parts := strings.Split(rest, "\t")
	return Kind(parts[0]), parts[1:], true
}
