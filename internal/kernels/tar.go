//go:build linux

package main

import (
	"archive/tar"
	"errors"
	"io"
	"regexp"
)

// kernelName: Debian moved the kernel, once the package linux-binary-... had it.
var kernelName = regexp.MustCompile(`^(\./|/)?(boot/vmlinuz-[^/]+|usr/lib/modules/[^/]+/vmlinuz)$`)

// copyKernel looks for the kernel in the content of a package.
func copyKernel(w io.Writer, r io.Reader) (found bool, err error) {
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			return found, nil
		case err != nil:
			return found, err
		case h.Typeflag == tar.TypeReg && kernelName.MatchString(h.Name):
			found = true
			if _, err := io.Copy(w, t); err != nil {
				return found, err
			}
		}
	}
}
