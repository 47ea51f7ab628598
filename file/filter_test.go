//go:build linux

package file

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/seccomp"
)

// filters are calls that a profile of seccomp may forbid, or a kernel lack. A File works in another
// way, or says what forbids it.
var filters = map[string][]uint32{
	"preadv2 and pwritev2":   {unix.SYS_PREADV2, unix.SYS_PWRITEV2},
	"io_setup":               {unix.SYS_IO_SETUP},
	"io_submit":              {unix.SYS_IO_SUBMIT},
	"io_uring and io_submit": append([]uint32{unix.SYS_IO_SUBMIT}, seccomp.IOUring...),
	"io_uring":               seccomp.IOUring,
	"fallocate":              {unix.SYS_FALLOCATE},
	"statx":                  {unix.SYS_STATX},
}

// without are calls that have no substitute.
var without = map[string][]uint32{
	"preadv":  {unix.SYS_PREADV, unix.SYS_PREADV2, unix.SYS_IO_SETUP},
	"pwritev": {unix.SYS_PWRITEV, unix.SYS_PWRITEV2, unix.SYS_IO_SETUP},
	"fsync":   {unix.SYS_FSYNC},
}

func init() {
	for _, errno := range []unix.Errno{unix.EPERM, unix.ENOSYS} {
		for name, calls := range filters {
			children[filterName(name, errno)] = func(dir string) error {
				if err := deny(errno, calls); err != nil {
					return err
				}
				return eachCircumstance(dir, exerciseAlone)
			}
		}
		for name, calls := range without {
			children[filterName(name, errno)] = func(dir string) error {
				if err := deny(errno, calls); err != nil {
					return err
				}
				return eachCircumstance(dir, func(s *solo, f *File) error {
					err := exerciseAlone(s, f)
					if err == nil && f.Engine().Engine != EngineIOUring {
						return fmt.Errorf("it works without %s", name)
					}
					if err != nil && !tellsOfFilter(err) {
						return err
					}
					return nil
				})
			}
		}
	}
}

func filterName(name string, errno unix.Errno) string {
	return name + " answers " + unix.ErrnoName(errno)
}

func deny(errno unix.Errno, calls []uint32) error {
	if err := seccomp.Deny(errno, calls...); err != nil {
		return skipped("no seccomp filters (CONFIG_SECCOMP_FILTER): ", err)
	}
	return nil
}

func TestTrap22_KernelWithoutACall(t *testing.T) {
	for _, all := range []map[string][]uint32{filters, without} {
		for name := range all {
			for _, errno := range []unix.Errno{unix.EPERM, unix.ENOSYS} {
				t.Run(filterName(name, errno), func(t *testing.T) { inChild(t, filterName(name, errno), nil) })
			}
		}
	}
}
