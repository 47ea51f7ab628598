//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The archive can be named where the machine's own sources have none of Debian's.
const (
	mirrorEnv      = "DEBIAN_MIRROR"
	debianKeyring  = "/usr/share/keyrings/debian-archive-keyring.gpg"
	indexMaxAge    = 24 * time.Hour
	aptUpdateLimit = 5 * time.Minute
	downloadLimit  = 10 * time.Minute
)

// findArchive returns the URI of the Debian archive from which this machine installs.
func findArchive(ctx context.Context) (string, error) {
	if uri := os.Getenv(mirrorEnv); uri != "" {
		return uri, nil
	}
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("apt-get indextargets: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		if uri := strings.TrimSuffix(strings.TrimSpace(line), "/"); strings.HasSuffix(uri, "/debian") {
			return uri, nil
		}
	}
	return "", fmt.Errorf("the apt sources of this machine have no Debian archive; name one with %s=URI", mirrorEnv)
}

// apt is a private apt: its own sources, lists and state, so that nothing of the
// machine's is changed. Its indexes are verified by the signature of the archive.
type apt struct {
	dir  string
	arch string
}

// newApt prepares the folder for the suites of a kernel.
func newApt(root string, k *kernel, uri string) (*apt, error) {
	p := &apt{dir: filepath.Join(root, "apt-"+k.Name), arch: k.Arch}
	for _, d := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(p.dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	sources := fmt.Sprintf("Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n",
		uri, strings.Join(k.Suites, " "), debianKeyring)
	return p, errors.Join(
		os.WriteFile(filepath.Join(p.dir, "kernel.sources"), []byte(sources), 0o644),
		os.WriteFile(filepath.Join(p.dir, "state/status"), nil, 0o644))
}

func (p *apt) command(ctx context.Context, tool string, args ...string) *exec.Cmd {
	options := map[string]string{
		"Dir::Etc::SourceList":       p.path("kernel.sources"),
		"Dir::Etc::SourceParts":      "/dev/null",
		"Dir::Etc::Preferences":      "/dev/null",
		"Dir::Etc::PreferencesParts": "/dev/null",
		"Dir::State":                 p.path("state"),
		"Dir::State::status":         p.path("state/status"),
		"Dir::Cache":                 p.path("cache"),
		"APT::Architecture":          p.arch,
		"APT::Architectures":         p.arch,
		"APT::Sandbox::User":         "root",
		"Acquire::Languages":         "none",
	}
	all := []string{"-q", "-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false"}
	for name, value := range options {
		all = append(all, "-o", name+"="+value)
	}
	return exec.CommandContext(ctx, tool, append(all, args...)...)
}

func (p *apt) path(name string) string {
	abs, err := filepath.Abs(filepath.Join(p.dir, name))
	if err != nil {
		panic(err) // the working directory is gone
	}
	return abs
}

// update fetches the indexes, at most once a day.
func (p *apt) update(ctx context.Context) error {
	stamp := p.path("updated")
	if info, err := os.Stat(stamp); err == nil && time.Since(info.ModTime()) < indexMaxAge {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, aptUpdateLimit)
	defer cancel()
	if out, err := p.command(ctx, "apt-get", "update", "--error-on=any").CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get update: %w\n%s", err, out)
	}
	return os.WriteFile(stamp, nil, 0o644)
}

// newest returns the name of the package with the highest version in its name.
func (p *apt) newest(ctx context.Context, pattern string) (string, error) {
	out, err := p.command(ctx, "apt-cache", "pkgnames", "linux-").Output()
	if err != nil {
		return "", fmt.Errorf("apt-cache pkgnames: %w", err)
	}
	return newestOf(strings.Fields(string(out)), pattern)
}

func newestOf(names []string, pattern string) (string, error) {
	expression, err := regexp.Compile(pattern)
	if err != nil {
		return "", err
	}
	names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !expression.MatchString(n) })
	if len(names) == 0 {
		return "", fmt.Errorf("no package is called %s", pattern)
	}
	return slices.MaxFunc(names, func(a, b string) int { return slices.Compare(numbers(a), numbers(b)) }), nil
}

// numbers returns the numbers in a name, in order: 6.12.9 is before 6.12.10.
func numbers(name string) (all []int) {
	for _, digits := range regexp.MustCompile(`[0-9]+`).FindAllString(name, -1) {
		n, _ := strconv.Atoi(digits) // too large a number is the largest
		all = append(all, n)
	}
	return all
}

func lookUp(ctx context.Context, root string, k *kernel) (*image, *apt, error) {
	uri, err := findArchive(ctx)
	if err != nil {
		return nil, nil, err
	}
	p, err := newApt(root, k, uri)
	if err != nil {
		return nil, nil, err
	}
	if err := p.update(ctx); err != nil {
		return nil, nil, err
	}
	name, err := p.newest(ctx, k.Package)
	if err != nil {
		return nil, nil, err
	}
	out, err := p.command(ctx, "apt-cache", "show", "--no-all-versions", name).Output()
	if err != nil {
		return nil, nil, fmt.Errorf("apt-cache show %s: %w", name, err)
	}
	version := regexp.MustCompile(`(?m)^Version: (.*)$`).FindSubmatch(out)
	if version == nil {
		return nil, nil, fmt.Errorf("apt-cache show %s names no version", name)
	}
	return &image{Package: name, Version: string(version[1])}, p, nil
}
