//go:build linux

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func put(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFindKernel(t *testing.T) {
	for _, name := range []string{"boot/vmlinuz-6.1", "usr/lib/modules/7.3.4+deb13-amd64/vmlinuz"} {
		root := t.TempDir()
		put(t, filepath.Join(root, "usr/share/doc/vmlinuz"), "not a kernel")
		if got, err := findKernel(root); err == nil {
			t.Errorf("no kernel, and it finds %s", got)
		}
		put(t, filepath.Join(root, name), "a kernel")
		if got, err := findKernel(root); err != nil || got != filepath.Join(root, name) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

func TestPackagesOf(t *testing.T) {
	for name, want := range map[string]string{
		"linux-image-6.1.0-50-amd64":        "linux-image-6.1.0-50-amd64",
		"linux-binary-7.3.4+deb13-amd64":    "linux-binary-7.3.4+deb13-amd64 linux-modules-7.3.4+deb13-amd64",
		"linux-image-6.12.9+deb13-rt-arm64": "linux-image-6.12.9+deb13-rt-arm64",
	} {
		if got := strings.Join(packagesOf(name), " "); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// cachedImage is in a cache of its own.
func cachedImage(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "vmlinuz")
	put(t, path+kernelFile, "the kernel")
	put(t, path+modulesFile, "its modules")
	sums, err := hashes(path)
	if err != nil {
		t.Fatal(err)
	}
	i := &image{Package: "linux", Modules: []string{"nbd"}, SHA256: sums}
	if err := i.write(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCachedImageIsVerified: a file that was cut short or replaced is fetched again.
func TestCachedImageIsVerified(t *testing.T) {
	path := cachedImage(t)
	if i, err := readImage(path); err != nil || i.Package != "linux" || !slices.Equal(i.Modules, []string{"nbd"}) {
		t.Errorf("%+v, %v", i, err)
	}
	for _, suffix := range []string{kernelFile, modulesFile} {
		path := cachedImage(t)
		put(t, path+suffix, "another")
		if _, err := readImage(path); err == nil {
			t.Errorf("another file %q was accepted", suffix)
		}
		if err := os.Remove(path + suffix); err != nil {
			t.Fatal(err)
		}
		if _, err := readImage(path); err == nil {
			t.Errorf("a missing file %q was accepted", suffix)
		}
	}
}

// TestCachedImageNeedsTheModules: a longer list of modules makes it fetch again.
func TestCachedImageNeedsTheModules(t *testing.T) {
	t.Setenv(mirrorEnv, "file:///nonexistent")
	k := &kernel{Name: "test", Arch: "amd64", Suites: []string{"none"}, Package: "^none$"}
	path := cachedImage(t)
	root := filepath.Dir(path)
	for _, suffix := range []string{kernelFile, modulesFile, ".json"} {
		if err := os.Rename(path+suffix, filepath.Join(root, "vmlinuz-test"+suffix)); err != nil {
			t.Fatal(err)
		}
	}
	quiet := func(string) {}
	if _, err := obtain(t.Context(), root, k, []string{"nbd"}, quiet); err != nil {
		t.Errorf("without an archive: %v", err)
	}
	if _, err := obtain(t.Context(), root, k, []string{"nbd", "null_blk"}, quiet); err == nil {
		t.Error("a module is missing, and there is no error")
	}
}
