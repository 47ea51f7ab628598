//go:build linux

package main

import (
	"fmt"
	"io"
	"path"
	"strings"
)

// cpioWriter writes the format "newc", which the kernel unpacks as its first file
// system. See Documentation/driver-api/early-userspace/buffer-format.rst in Linux.
type cpioWriter struct {
	w     io.Writer
	inode int
	dirs  map[string]bool
	err   error // the first; nothing is written after it
}

func newCpioWriter(w io.Writer) *cpioWriter {
	return &cpioWriter{w: w, dirs: map[string]bool{".": true}}
}

const (
	cpioDir  = 0o040000
	cpioFile = 0o100000
)

// file adds a file, and the folders that lead to it. The name is absolute.
func (c *cpioWriter) file(name string, perm int, content []byte) {
	name = strings.TrimPrefix(name, "/")
	c.folder(path.Dir(name))
	c.entry(name, cpioFile|perm, content)
}

// folder adds a folder, and those above it, once.
func (c *cpioWriter) folder(name string) {
	name = path.Clean(strings.TrimPrefix(name, "/"))
	if c.dirs[name] {
		return
	}
	c.dirs[name] = true
	c.folder(path.Dir(name))
	c.entry(name, cpioDir|0o755, nil)
}

// close writes the trailer. It returns the first error of all.
func (c *cpioWriter) close() error {
	c.entry("TRAILER!!!", 0, nil)
	return c.err
}

// entry writes the header of 13 hexadecimal fields, the name with its zero, and the
// content; name and content each end at a multiple of 4.
func (c *cpioWriter) entry(name string, mode int, content []byte) {
	c.inode++
	const links = 1
	var header strings.Builder
	header.WriteString("070701")
	for _, field := range []int{c.inode, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0} {
		fmt.Fprintf(&header, "%08x", field)
	}
	header.WriteString(name + "\x00")
	c.write([]byte(header.String()))
	c.write(content)
}

func (c *cpioWriter) write(b []byte) {
	if c.err != nil {
		return
	}
	if _, c.err = c.w.Write(b); c.err == nil {
		_, c.err = c.w.Write(make([]byte, -len(b)&3))
	}
}
