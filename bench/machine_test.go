package bench

import (
	"io/fs"
	"runtime"
	"testing"
	"testing/fstest"
	"time"

	"github.com/aioloop/aioloop/bench/report"
)

func mapFile(content string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(content)} }

func TestCPUModel(t *testing.T) {
	tests := []struct {
		name string
		root fstest.MapFS
		want string
	}{
		{"nothing mounted", fstest.MapFS{}, ""},
		{"x86", fstest.MapFS{"proc/cpuinfo": mapFile("processor\t: 0\nmodel\t\t: 207\nmodel name\t: Example(R)  CPU @ 2GHz\n")}, "Example(R) CPU @ 2GHz"},
		{"RISC-V", fstest.MapFS{"proc/cpuinfo": mapFile("hart\t: 0\nuarch\t: example,u74\n")}, "example,u74"},
		{"device tree", fstest.MapFS{"proc/cpuinfo": mapFile("processor\t: 0\n"), "proc/device-tree/model": mapFile("Example Board 5\x00")}, "Example Board 5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := cpuModel(tt.root); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestVirtualization(t *testing.T) {
	vendor := mapFile("Example Cloud\n")
	tests := []struct {
		name string
		root fs.FS
		want string
	}{
		{"nothing mounted", fstest.MapFS{}, ""},
		{"hardware with a vendor", fstest.MapFS{"proc/cpuinfo": mapFile("flags : fpu vme\n"), "sys/class/dmi/id/sys_vendor": vendor}, ""},
		{"unnamed", fstest.MapFS{"proc/cpuinfo": mapFile("flags : fpu hypervisor\n")}, "virtual machine"},
		{"named", fstest.MapFS{"proc/cpuinfo": mapFile("flags : hypervisor\n"), "sys/class/dmi/id/sys_vendor": vendor}, "Example Cloud virtual machine"},
		{"xen", fstest.MapFS{"sys/hypervisor/type": mapFile("xen\n")}, "xen virtual machine"},
		{"arm", fstest.MapFS{"proc/device-tree/hypervisor/compatible": mapFile("linux,kvm\x00")}, "linux,kvm virtual machine"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := virtualization(tt.root); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestReadMachine(t *testing.T) {
	m := ReadMachine()
	if m.Kernel == "" || m.CPUs < 1 || m.Go != runtime.Version() || m.GOMAXPROCS != runtime.GOMAXPROCS(0) {
		t.Errorf("got %+v", m)
	}
	if m.ClockNS <= 0 {
		t.Errorf("a clock read costs %v ns", m.ClockNS)
	}
	if m.Date.Location() != time.UTC || m.Date.Nanosecond() != 0 {
		t.Errorf("date %v is not in whole seconds of UTC", m.Date)
	}
	if err := (&report.Report{Machine: m}).Validate(); err != nil {
		t.Error(err)
	}
}
