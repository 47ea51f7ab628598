//go:build linux

package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/testkit/guest"
)

// Block devices for tests. The modules brd, null_blk and dm-flakey are loaded in the virtual machines
// of make kernels, see Modules in internal/kernels/kernels.json; loop devices may be elsewhere, too.

const inGuestOnly = "skipped: a disk without hardware is in the virtual machines of make kernels only"

// ramDisk returns a disk of 128 MiB that nothing else uses.
func ramDisk(t *testing.T) string {
	t.Helper()
	if !guest.Is() {
		t.Skip(inGuestOnly)
	}
	return "/dev/ram1"
}

// nullDisk returns a disk that forgets what is written, and completes requests in an interrupt.
func nullDisk(t *testing.T) string {
	t.Helper()
	if !guest.Is() {
		t.Skip(inGuestOnly)
	}
	return "/dev/nullb0"
}

// loopDisk makes a block device of a file, until the end of the test. Its requests go past the page
// cache of the file.
func loopDisk(t *testing.T, backing string) string {
	t.Helper()
	control, err := unix.Open("/dev/loop-control", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("skipped: no loop devices here: ", err)
	}
	defer unix.Close(control)
	from, err := unix.Open(backing, unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("skipped: the filesystem has no O_DIRECT: ", err)
	}
	defer unix.Close(from)
	for range 100 { // others may take the same one
		n, err := unix.IoctlRetInt(control, unix.LOOP_CTL_GET_FREE)
		if err != nil {
			t.Skip("skipped: no loop device is free: ", err)
		}
		name := fmt.Sprintf("/dev/loop%d", n)
		switch err := attachLoop(t, name, from); {
		case err == nil:
			return name
		case !errors.Is(err, unix.EBUSY):
			t.Skipf("skipped: %s: %v", name, err)
		}
	}
	t.Skip("skipped: all loop devices are busy")
	return ""
}

// attachLoop makes name the device of the file from. It ends with its last user: that is this test.
func attachLoop(t *testing.T, name string, from int) error {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	config := unix.LoopConfig{Fd: uint32(from), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO}}
	if err := unix.IoctlLoopConfigure(fd, &config); err != nil {
		unix.Close(fd)
		return err
	}
	t.Cleanup(func() { unix.Close(fd) })
	info, err := unix.IoctlLoopGetStatus64(fd)
	if err == nil && info.Flags&unix.LO_FLAGS_DIRECT_IO == 0 {
		err = errors.New("it does not go past the page cache")
	}
	return err
}

// sparseFile makes a file of n bytes of zeros.
func sparseFile(t *testing.T, n int64) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "disk")
	if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Truncate(name, n)); err != nil {
		t.Fatal(err)
	}
	return name
}

// sizeOf returns the size of a file or a device.
func sizeOf(t *testing.T, name string) int64 {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Seek(0, 2)
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// mapped is a device of the device mapper: its table says which part of it does what.
type mapped struct {
	*testing.T
	control int
	name    string
	path    string
}

// part of a mapped device, in bytes.
type part struct {
	length int64
	target string // "linear", "error", "flakey", "zero"
	params string
}

// The device mapper's calls, of linux/dm-ioctl.h.
const (
	dmCreate  = 3
	dmRemove  = 4
	dmSuspend = 6 // and to resume
	dmLoad    = 9

	dmSuspendFlag = 1 << 1
	dmSkipLock    = 1 << 10 // suspend without a sync of what is on the device
	dmDeferred    = 1 << 17 // remove when its last user has gone

	dmSector = 512
)

// dmHeader is struct dm_ioctl.
type dmHeader struct {
	version     [3]uint32
	dataSize    uint32
	dataStart   uint32
	targetCount uint32
	openCount   int32
	flags       uint32
	eventNr     uint32
	_           uint32
	dev         uint64
	name        [128]byte
	uuid        [129]byte
	_           [7]byte
}

// dmTarget is struct dm_target_spec, with room for its parameters.
type dmTarget struct {
	start, length uint64 // sectors
	status        int32
	next          uint32
	kind          [16]byte
	params        [128]byte
}

// mappedDevices counts them: one that is removed may be there for a while.
var mappedDevices atomic.Int32

// newMapped makes a device, until the end of the test.
func newMapped(t *testing.T, parts ...part) *mapped {
	t.Helper()
	control, err := unix.Open("/dev/mapper/control", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("skipped: no device mapper here: ", err)
	}
	m := &mapped{T: t, control: control, name: fmt.Sprintf("aioloop-%d-%d", os.Getpid(), mappedDevices.Add(1))}
	t.Cleanup(func() {
		m.call(dmRemove, dmDeferred, nil)
		unix.Close(control)
	})
	m.call(dmCreate, 0, nil)
	dev := m.load(parts...)
	minor := dev&0xff | dev>>12&^0xff
	m.path = fmt.Sprintf("/dev/dm-%d", minor)
	return m
}

// load gives the device another table.
func (m *mapped) load(parts ...part) (dev uint64) {
	m.Helper()
	targets := make([]dmTarget, len(parts))
	at := uint64(0)
	for i, p := range parts {
		d := &targets[i]
		d.start, d.length, d.next = at, uint64(p.length/dmSector), uint32(unsafe.Sizeof(*d))
		copy(d.kind[:], p.target)
		copy(d.params[:], p.params)
		at += d.length
	}
	m.call(dmLoad, 0, targets)
	m.call(dmSuspend, dmSuspendFlag|dmSkipLock, nil)
	return m.call(dmSuspend, 0, nil).dev
}

func (m *mapped) call(number uintptr, flags uint32, targets []dmTarget) dmHeader {
	m.Helper()
	type request struct {
		dmHeader
		targets [8]dmTarget
	}
	r := request{dmHeader: dmHeader{version: [3]uint32{4, 0, 0}, flags: flags, targetCount: uint32(len(targets))}}
	r.dataSize, r.dataStart = uint32(unsafe.Sizeof(r)), uint32(unsafe.Offsetof(r.targets))
	copy(r.name[:], m.name)
	copy(r.targets[:], targets)
	code := 3<<30 | unsafe.Sizeof(r.dmHeader)<<16 | 0xfd<<8 | number
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(m.control), code, uintptr(unsafe.Pointer(&r))); errno != 0 {
		m.Fatalf("device mapper: call %d: %v", number, errno)
	}
	return r.dmHeader
}

// linear is a part of disk.
func linear(disk string, start, length int64) part {
	return part{length, "linear", fmt.Sprintf("%s %d", disk, start/dmSector)}
}

// bad is a part of which each request fails.
func bad(length int64) part { return part{length: length, target: "error"} }

// flakey is a part of disk for dm-flakey, which is always in the state that features describe.
func flakey(disk string, length int64, features string) part {
	return part{length, "flakey", fmt.Sprintf("%s 0 0 3600 %s", disk, features)}
}
