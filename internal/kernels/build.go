//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aioloop/aioloop/internal/kernels/protocol"
)

const module = "github.com/aioloop/aioloop"

// goPackage is one that has tests.
type goPackage struct {
	Path string // in the module
	Dir  string // on the host
}

func (p goPackage) binary() string { return strings.ReplaceAll(p.Path, "/", "_") + ".test" }

// testPackages lists the packages of the module that have tests for arch.
func testPackages(ctx context.Context, arch string) (all []goPackage, err error) {
	out, err := goCommand(ctx, arch, "list", "-f",
		"{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}", "work").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		path, dir, found := strings.Cut(strings.TrimSpace(line), " ")
		if found {
			all = append(all, goPackage{Path: strings.TrimPrefix(path, module+"/"), Dir: dir})
		}
	}
	if len(all) == 0 {
		return nil, errors.New("go list has found no tests")
	}
	return all, nil
}

// goCommand is the go command for static programs of arch.
func goCommand(ctx context.Context, arch string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	cmd.Stderr = os.Stderr
	return cmd
}

// build writes the initramfs for arch: the init, the test binaries with their
// testdata, and the jobs.
func build(ctx context.Context, dir, arch, suffix string, packages []goPackage, jobs []job) (string, error) {
	bin := filepath.Join(dir, "bin-"+arch)
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	compile := func(args ...string) error { return goCommand(ctx, arch, args...).Run() }
	if err := compile("build", "-ldflags", "-s -w", "-o", filepath.Join(bin, "init"), module+"/internal/kernels/init"); err != nil {
		return "", fmt.Errorf("go build of the init: %w", err)
	}
	for _, p := range packages {
		if err := compile("test", "-c", "-ldflags", "-s -w", "-o", filepath.Join(bin, p.binary()), module+"/"+p.Path); err != nil {
			return "", fmt.Errorf("go test -c %s: %w", p.Path, err)
		}
	}
	name := filepath.Join(dir, "programs-"+arch+suffix)
	f, err := os.Create(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var disk []byte
	if slices.ContainsFunc(jobs, func(j job) bool { return j.Disk }) {
		if disk, err = makeDisk(ctx, dir); err != nil {
			return "", err
		}
	}
	if err := pack(f, bin, packages, jobs, disk); err != nil {
		return "", err
	}
	return name, f.Close()
}

// join writes an initramfs that consists of several: the kernel unpacks them in order.
func join(name string, parts ...string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, part := range parts {
		from, err := os.Open(part)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, from)
		from.Close()
		if err != nil {
			return err
		}
	}
	return f.Close()
}

// pack writes the initramfs to w.
func pack(w io.Writer, bin string, packages []goPackage, jobs []job, disk []byte) error {
	buffered := bufio.NewWriterSize(w, 1<<20)
	c := newCpioWriter(buffered)
	if err := packFile(c, "/init", filepath.Join(bin, "init"), 0o755); err != nil {
		return err
	}
	for _, p := range packages {
		if err := packFile(c, "/bin/"+p.binary(), filepath.Join(bin, p.binary()), 0o755); err != nil {
			return err
		}
		c.folder("/src/" + p.Path)
		if err := packTestdata(c, p); err != nil {
			return err
		}
	}
	if len(packages) > 0 {
		root := strings.TrimSuffix(packages[0].Dir, filepath.FromSlash(packages[0].Path))
		if err := packDocs(c, root); err != nil {
			return err
		}
	}
	var inGuest []protocol.Job
	for _, j := range jobs {
		inGuest = append(inGuest, j.Job)
	}
	b, err := json.Marshal(inGuest)
	if err != nil {
		return err
	}
	c.file(protocol.JobsFile, 0o644, b)
	if disk != nil {
		c.file(protocol.DiskFile, 0o644, disk)
	}
	return errors.Join(c.close(), buffered.Flush())
}

func packFile(c *cpioWriter, name, from string, perm int) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	c.file(name, perm, content)
	return c.err
}

// packDocs adds the documents that tests hold the code to.
func packDocs(c *cpioWriter, root string) error {
	docs, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		return err
	}
	c.folder("/src/docs")
	for _, path := range docs {
		if err := packFile(c, "/src/docs/"+filepath.Base(path), path, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// packTestdata adds the files that a package's tests read.
func packTestdata(c *cpioWriter, p goPackage) error {
	testdata := filepath.Join(p.Dir, "testdata")
	if _, err := os.Stat(testdata); os.IsNotExist(err) {
		return nil
	}
	return filepath.WalkDir(testdata, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(p.Dir, path)
		if err != nil {
			return err
		}
		return packFile(c, filepath.Join("/src", p.Path, name), path, 0o644)
	})
}

// job is one that the guest runs, and what the table says of it.
type job struct {
	protocol.Job
	Package string // whose tests it runs
	Bench   bool
}

// limits of the jobs. Software emulation takes ten times as long as the real CPU.
const (
	testLimit  = 20 * time.Minute
	benchLimit = 10 * time.Minute
	dumpTime   = 15 * time.Second // for a binary to say where it hangs
)

// plan lists the jobs for the packages that can run in a guest.
func plan(l *list, packages []goPackage, short bool) (jobs []job) {
	packages = slices.DeleteFunc(slices.Clone(packages), func(p goPackage) bool {
		return l.HostOnly[p.Path] != "" || short && l.Long[p.Path] != ""
	})
	for _, p := range packages {
		j := newJob(p, p.Path, "", short)
		j.Modules, j.Disk = l.Modules[p.Path], l.Disk[p.Path] != ""
		if o, ok := l.Once[p.Path]; ok && !short {
			j.Guests = l.guests(func(k kernel) bool { return k.Name == o.Kernel })
		}
		jobs = append(jobs, j)
	}
	if short {
		return jobs
	}
	for _, x := range l.Extra {
		j := newJob(goPackage{Path: x.Package}, x.Package+": "+x.Name, x.Run, short)
		j.Env, j.Sysctl, j.CPUs, j.UID = x.Env, x.Sysctl, x.CPUs, x.UID
		j.Guests = l.guests(func(k kernel) bool { return slices.Contains(x.Kernels, k.Name) })
		if x.Skip != "" {
			j.Args = append(j.Args, "-test.skip="+x.Skip)
		}
		jobs = append(jobs, j)
	}
	for _, p := range packages {
		if hasBenchmarks(p) {
			j := benchJob(p)
			j.Disk = l.Disk[p.Path] != ""
			j.Guests = l.guests(func(k kernel) bool { return k.Short }) // that they work depends on no other
			jobs = append(jobs, j)
		}
	}
	return jobs
}

func newJob(p goPackage, name, run string, short bool) job {
	args := []string{"/bin/" + p.binary(), "-test.v=test2json", "-test.timeout=" + (testLimit - dumpTime).String()}
	if short {
		args = append(args, "-test.short")
	}
	if run != "" {
		args = append(args, "-test.run="+run)
	}
	return job{Package: p.Path, Job: protocol.Job{Name: name, Args: args, Dir: "/src/" + p.Path, Limit: testLimit}}
}

// benchJob runs benchmarks once, and with -short: figures from a virtual machine mean nothing.
func benchJob(p goPackage) job {
	args := []string{"/bin/" + p.binary(), "-test.short", "-test.run=^$", "-test.bench=.", "-test.benchtime=1x", "-test.v=test2json"}
	return job{Package: p.Path, Bench: true, Job: protocol.Job{
		Name: p.Path + ": benchmarks, once", Args: args, Dir: "/src/" + p.Path, Limit: benchLimit,
	}}
}

// hasBenchmarks looks for them in the source; a wrong guess costs an empty run.
func hasBenchmarks(p goPackage) bool {
	files, err := filepath.Glob(filepath.Join(p.Dir, "*_test.go"))
	if err != nil {
		return false
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err == nil && strings.Contains(string(b), "\nfunc Benchmark") {
			return true
		}
	}
	return false
}
