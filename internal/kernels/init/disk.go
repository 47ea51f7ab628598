//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/kernels/protocol"
)

// diskDir is where the disk is mounted: a ram disk with ext4, which unlike the guest's own
// filesystems has O_DIRECT on each kernel. /dev/ram1 is another one, for tests that write to it.
const (
	diskDir    = "/mnt"
	diskDevice = "/dev/ram0"
)

var mounted bool

// mountDisk mounts the disk once; it stays.
func mountDisk() error {
	if mounted {
		return nil
	}
	if err := loadModules(protocol.DiskModules); err != nil {
		return err
	}
	if err := writeDisk(); err != nil {
		return fmt.Errorf("%s: %w", diskDevice, err)
	}
	if err := os.MkdirAll(diskDir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(diskDevice, diskDir, "ext4", 0, ""); err != nil {
		return fmt.Errorf("mount %s: %w", diskDevice, err)
	}
	mounted = true
	return os.Chmod(diskDir, 0o777|os.ModeSticky)
}

// writeDisk writes the blocks of the filesystem.
func writeDisk() error {
	from, err := os.Open(protocol.DiskFile)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(diskDevice, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer to.Close()
	var block [8 + protocol.DiskBlock]byte
	for r := bufio.NewReader(from); ; {
		_, err := io.ReadFull(r, block[:])
		if err == io.EOF {
			return errors.Join(to.Sync(), to.Close())
		}
		if err != nil {
			return err
		}
		if _, err := to.WriteAt(block[8:], int64(binary.LittleEndian.Uint64(block[:]))); err != nil {
			return err
		}
	}
}
