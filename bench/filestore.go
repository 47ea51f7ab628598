package bench

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fileSize is that of each file of the file scenarios.
const fileSize = 64 << 20

// fileSpare is what has to be free beside it.
const fileSpare = 16 << 20

// fileStore makes the files of the file scenarios when they are needed for the first time. A run
// has one, and removes them at its end.
type fileStore struct {
	folder string            // where to make them
	own    string            // the folder in it, empty before the first
	paths  map[string]string // by kind
}

func newFileStore(folder string) *fileStore {
	return &fileStore{folder: folder, paths: map[string]string{}}
}

// Those that are read are never written, so that no dirty page disturbs a reader.
const (
	fileToRead  = "read"
	fileToWrite = "write"
)

// path returns a file of fileSize bytes without holes.
func (f *fileStore) path(kind string) (string, error) {
	if path := f.paths[kind]; path != "" {
		return path, nil
	}
	if f.own == "" {
		own, err := os.MkdirTemp(f.folder, "aiobench-files-")
		if err != nil {
			return "", fmt.Errorf("no files can be made: %w: choose another folder (-file-dir)", err)
		}
		f.own = own
	}
	path := filepath.Join(f.own, kind)
	if err := fillFile(path); err != nil {
		_ = os.Remove(path)
		return "", err
	}
	f.paths[kind] = path
	return path, nil
}

func (f *fileStore) remove() error {
	if f.own == "" {
		return nil
	}
	return os.RemoveAll(f.own)
}

// fillFile writes random data, which no filesystem makes smaller than it is.
func fillFile(path string) (err error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(path), &stat); err != nil {
		return os.NewSyscallError("statfs", err)
	}
	if free := int64(stat.Bavail) * int64(stat.Bsize); free < fileSize+fileSpare {
		return fmt.Errorf("the files take %d MiB each, and %d MiB are free: choose another folder (-file-dir): %w", fileSize>>20, free>>20, unix.ENOSPC)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	random, buf := rand.NewChaCha8([32]byte{1}), make([]byte, 1<<20)
	for range fileSize / len(buf) {
		_, _ = random.Read(buf) // it never fails
		if _, err := file.Write(buf); err != nil {
			return err
		}
	}
	return file.Sync()
}

// cached is which part of the first span bytes of a file is in the page cache.
func cached(file *os.File, span int64) (share float64, err error) {
	data, err := unix.Mmap(int(file.Fd()), 0, int(span), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return 0, os.NewSyscallError("mmap", err)
	}
	defer func() { err = errors.Join(err, os.NewSyscallError("munmap", unix.Munmap(data))) }()
	page := os.Getpagesize()
	pages := make([]byte, (len(data)+page-1)/page)
	// mincore(2) touches none of the pages that it is asked about.
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)), uintptr(unsafe.Pointer(&pages[0])))
	if errno != 0 {
		return 0, os.NewSyscallError("mincore", errno)
	}
	there := 0
	for _, p := range pages {
		there += int(p & 1)
	}
	return float64(there) / float64(len(pages)), nil
}

// warm brings the first span bytes into the page cache, if they are not there.
func warm(file *os.File, span int64) error {
	if share, err := cached(file, span); err != nil || share == 1 {
		return err
	}
	buf := make([]byte, 1<<20)
	for at := int64(0); at < span; at += int64(len(buf)) {
		if _, err := file.ReadAt(buf[:min(span-at, int64(len(buf)))], at); err != nil {
			return err
		}
	}
	return nil
}

// drop takes a file out of the page cache, as far as the kernel agrees. What is dirty stays, and so
// it is written first.
func drop(file *os.File) error {
	if err := unix.Fdatasync(int(file.Fd())); err != nil {
		return os.NewSyscallError("fdatasync", err)
	}
	return os.NewSyscallError("posix_fadvise", unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED))
}

// inMemory are filesystems whose files are memory, and are no place for files to measure.
var inMemory = []string{"tmpfs", "ramfs"}

var filesystems = map[uint32]string{
	0xEF53: "ext4", 0x58465342: "xfs", 0x9123683E: "btrfs", 0x01021994: "tmpfs", 0x858458F6: "ramfs", 0x794C7630: "overlayfs",
	0xF2F52010: "f2fs", 0x2FC12FC1: "zfs", 0x6969: "nfs", 0xCA451A4E: "bcachefs", 0x65735546: "fuse", 0x01021997: "9p", 0xFF534D42: "cifs",
}

// Filesystem names the filesystem that a folder is on, empty if that cannot be found out.
func Filesystem(folder string) string {
	var stat unix.Statfs_t
	if unix.Statfs(folder, &stat) != nil {
		return ""
	}
	magic := uint32(stat.Type)
	if name := filesystems[magic]; name != "" {
		return name
	}
	return fmt.Sprintf("filesystem 0x%X", magic)
}

// FileFolder is where files are made: in the folder that was asked for, or in the first of that of
// the results, the working folder and /var/tmp that is no memory.
func FileFolder(asked, results string) string {
	if asked != "" {
		return asked
	}
	for _, folder := range []string{results, ".", "/var/tmp"} {
		if folder != "" && !slices.Contains(inMemory, Filesystem(folder)) && unix.Access(folder, unix.W_OK) == nil {
			return folder
		}
	}
	return "."
}
