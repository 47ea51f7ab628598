//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// image is a kernel's packages, unpacked: two files in the cache, and this in a third.
type image struct {
	Package string
	Version string
	Modules []string          // that were asked for
	SHA256  map[string]string // of the files that are booted, by suffix
}

// The files of an image.
const (
	kernelFile  = ""         // the kernel
	modulesFile = ".modules" // an initramfs with its modules
)

// obtain returns the path of the kernel to boot, beside which its modules are. Where the
// archive cannot be reached it is the one of the last time, if it is still intact.
func obtain(ctx context.Context, root string, k *kernel, modules []string, say func(string)) (string, error) {
	path := filepath.Join(root, "vmlinuz-"+k.Name)
	have, haveErr := readImage(path)
	haveAll := haveErr == nil && slices.Equal(have.Modules, modules)
	want, p, err := lookUp(ctx, root, k)
	switch {
	case err != nil && haveAll:
		say(fmt.Sprintf("%s: using the cached %s, because: %v", k.Name, have.Package, err))
		return path, nil
	case err != nil:
		return "", err
	case haveAll && have.Package == want.Package && have.Version == want.Version:
		return path, nil
	}
	say(fmt.Sprintf("%s: fetching %s %s", k.Name, want.Package, want.Version))
	want.Modules = modules
	return path, fetch(ctx, p, want, path)
}

// fetch downloads the packages, which apt compares with the hash of the signed index,
// and keeps the kernel and its modules, with hashes of our own beside them.
func fetch(ctx context.Context, p *apt, want *image, path string) error {
	ctx, cancel := context.WithTimeout(ctx, downloadLimit)
	defer cancel()
	dir, err := os.MkdirTemp(p.dir, "download")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	_ = os.Remove(path + ".json")
	for _, name := range packagesOf(want.Package) {
		if err := p.unpack(ctx, dir, name+"="+want.Version); err != nil {
			return err
		}
	}
	if err := want.keep(ctx, dir, path); err != nil {
		return err
	}
	return want.write(path)
}

// packagesOf returns the package with the kernel and the one with its modules: since
// Linux 7.2 Debian has two.
func packagesOf(name string) []string {
	if version, ok := strings.CutPrefix(name, "linux-binary-"); ok {
		return []string{name, "linux-modules-" + version}
	}
	return []string{name}
}

// unpack downloads a package to dir/packages and unpacks it to dir/root.
func (p *apt) unpack(ctx context.Context, dir, name string) error {
	debs := filepath.Join(dir, "packages")
	if err := errors.Join(os.RemoveAll(debs), os.Mkdir(debs, 0o755)); err != nil {
		return err
	}
	get := p.command(ctx, "apt-get", "download", name)
	get.Dir = debs
	if out, err := get.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get download: %w\n%s", err, out)
	}
	found, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("apt-get download has left %d packages, not one: %v", len(found), err)
	}
	if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", found[0], filepath.Join(dir, "root")).CombinedOutput(); err != nil {
		return fmt.Errorf("dpkg-deb -x %s: %w\n%s", filepath.Base(found[0]), err, out)
	}
	return nil
}

// keep copies what is needed of the unpacked packages to the cache.
func (i *image) keep(ctx context.Context, dir, path string) error {
	kernel, err := findKernel(filepath.Join(dir, "root"))
	if err != nil {
		return fmt.Errorf("%s: %w", i.Package, err)
	}
	tree, err := findModules(filepath.Join(dir, "root"))
	if err != nil {
		return err
	}
	modules, err := os.Create(path + modulesFile)
	if err != nil {
		return err
	}
	defer modules.Close()
	if err := packModules(ctx, modules, tree, i.Modules); err != nil {
		return fmt.Errorf("%s: %w", i.Package, err)
	}
	if err := errors.Join(modules.Close(), os.Rename(kernel, path+kernelFile)); err != nil {
		return err
	}
	i.SHA256, err = hashes(path)
	return err
}

// findKernel: Debian moved the kernel, once the package linux-binary-... had it.
func findKernel(root string) (string, error) {
	for _, pattern := range []string{"boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz"} {
		if found, _ := filepath.Glob(filepath.Join(root, pattern)); len(found) == 1 {
			return found[0], nil
		}
	}
	return "", errors.New("the package has no kernel")
}

func (i *image) write(path string) error {
	b, err := json.MarshalIndent(i, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path+".json", append(b, '\n'), 0o644)
}

func readImage(path string) (*image, error) {
	b, err := os.ReadFile(path + ".json")
	if err != nil {
		return nil, err
	}
	var i image
	if err := json.Unmarshal(b, &i); err != nil {
		return nil, err
	}
	all, err := hashes(path)
	if err != nil {
		return nil, err
	}
	for suffix, hash := range all {
		if i.SHA256[suffix] != hash {
			return nil, fmt.Errorf("%s%s is not what it was when it was fetched", path, suffix)
		}
	}
	return &i, nil
}

// hashes returns those of the files of an image.
func hashes(path string) (all map[string]string, err error) {
	all = map[string]string{}
	for _, suffix := range []string{kernelFile, modulesFile} {
		if all[suffix], err = hashOf(path + suffix); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func hashOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
