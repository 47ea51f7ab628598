//go:build linux

// Command kernels runs the tests of this module on real kernels, in virtual machines,
// and prints what came of it. See README.md beside it.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/testkit/guest"
)

const hostArch = runtime.GOARCH

// options are the flags.
type options struct {
	kernels string
	short   bool
	jobs    int
	cache   string
	accel   string
	only    string
	run     string
	count   int
	replay  bool
}

// whole reports whether all tests run.
func (o *options) whole() bool { return o.only == "" && o.run == "" }

func main() {
	var o options
	flag.StringVar(&o.kernels, "kernel", "", "names from kernels.json, with commas between them (default: all)")
	flag.BoolVar(&o.short, "short", false, "only the kernels of the short form, and the tests with -short")
	flag.IntVar(&o.jobs, "jobs", 1, "how many guests run at the same time; each has two CPUs")
	flag.StringVar(&o.cache, "cache", "internal/kernels/.cache", "folder for kernels, programs and logs")
	flag.StringVar(&o.accel, "accel", "", "QEMU's accelerator (default: kvm if a probe boot with it works, else tcg)")
	flag.StringVar(&o.only, "only", "", "packages to test, with commas between them (default: all)")
	flag.StringVar(&o.run, "run", "", "regular expression for the tests to run, without benchmarks (default: all)")
	flag.IntVar(&o.count, "count", 1, "how many times to run each test; with more than 1, no benchmarks")
	flag.BoolVar(&o.replay, "replay", false, "print the table of the consoles that the last runs have left in the cache; boot nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	err := matrix(ctx, &o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "make kernels:", err)
		os.Exit(1)
	}
}

// matrix runs everything.
func matrix(ctx context.Context, o *options, w io.Writer) error {
	l, err := parseList(listJSON)
	if err != nil {
		return err
	}
	chosen, complete, err := l.choose(o.kernels, o.short)
	if err != nil {
		return err
	}
	m := &runner{options: o, list: l, w: w, start: time.Now()}
	results, err := m.results(ctx, chosen)
	if err != nil {
		return err
	}
	if err := writeTable(w, l, results); err != nil {
		return err
	}
	if m.short {
		l = l.shortened()
	}
	return verdict(w, l, results, complete && o.whole())
}

// results runs all that is needed for a table.
func (m *runner) results(ctx context.Context, chosen []kernel) ([]*result, error) {
	if m.replay {
		return m.replayAll(ctx, chosen)
	}
	if err := haveTools(ctx, chosen, m.w); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(m.cache, "logs"), 0o755); err != nil {
		return nil, err
	}
	images, err := m.obtainAll(ctx, chosen)
	if err != nil {
		return nil, err
	}
	if err := m.buildAll(ctx, chosen); err != nil {
		return nil, err
	}
	m.accelerators(ctx, chosen, images)
	return m.bootAll(ctx, chosen, images), nil
}

// verdict prints what is wrong, and returns an error if anything is.
func verdict(w io.Writer, l *list, results []*result, complete bool) error {
	var failures []string
	for _, r := range results {
		failures = append(failures, r.failures()...)
	}
	if complete {
		failures = append(failures, neverRun(l, results)...)
	} else {
		fmt.Fprintln(w, "\nnot all kernels and packages: whether each test runs on one of them was not checked")
	}
	if len(failures) == 0 {
		fmt.Fprintf(w, "\n%d kernels: all is well\n", len(results))
		return nil
	}
	fmt.Fprintln(w, "\nfailed:")
	for _, f := range failures {
		fmt.Fprintln(w, "  "+f)
	}
	return fmt.Errorf("%d failures", len(failures))
}

// haveTools checks for the programs that are needed, and installs them if it may.
func haveTools(ctx context.Context, chosen []kernel, w io.Writer) error {
	needed := map[string]string{"apt-get": "apt", "dpkg-deb": "dpkg", "xz": "xz-utils", "go": "golang", "mke2fs": "e2fsprogs"}
	for _, k := range chosen {
		needed[machines[k.Arch].qemu] = machines[k.Arch].debian
	}
	var missing []string
	for program, debian := range needed {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, debian)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	command := "apt-get install --no-install-recommends " + strings.Join(missing, " ")
	if os.Geteuid() != 0 || slices.Contains(missing, "apt") || slices.Contains(missing, "golang") {
		return fmt.Errorf("this needs programs that are not installed; as root: %s", command)
	}
	fmt.Fprintln(w, "installing what is missing:", command)
	for _, args := range [][]string{{"update"}, append([]string{"install", "-y", "--no-install-recommends"}, missing...)} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}

// runner does the steps of a matrix.
type runner struct {
	*options
	list  *list
	start time.Time

	initramfs map[string]string // by architecture
	planned   map[string][]job
	accelOf   map[string]string

	mu sync.Mutex // guards w
	w  io.Writer
}

// say tells how far it is.
func (m *runner) say(s string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fmt.Fprintf(m.w, "%4.0fs %s\n", time.Since(m.start).Seconds(), s)
}

// obtainAll returns the files to boot, by the kernel's name.
func (m *runner) obtainAll(ctx context.Context, chosen []kernel) (map[string]string, error) {
	images := map[string]string{}
	for _, k := range chosen {
		path, err := obtain(ctx, m.cache, &k, m.list.modules(), m.say)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.Name, err)
		}
		images[k.Name] = path
	}
	return images, nil
}

// buildAll makes an initramfs for each architecture.
func (m *runner) buildAll(ctx context.Context, chosen []kernel) error {
	m.initramfs, m.planned = map[string]string{}, map[string][]job{}
	for _, k := range chosen {
		if m.initramfs[k.Arch] != "" {
			continue
		}
		m.say("building the tests for " + k.Arch)
		packages, jobs, err := m.plan(ctx, k.Arch)
		if err != nil {
			return err
		}
		m.planned[k.Arch] = jobs
		if m.initramfs[k.Arch], err = build(ctx, m.cache, k.Arch, "", packages, jobs); err != nil {
			return err
		}
	}
	return nil
}

// plan lists the packages to build for arch, and what to run of them.
func (m *runner) plan(ctx context.Context, arch string) ([]goPackage, []job, error) {
	packages, err := testPackages(ctx, arch)
	if err != nil {
		return nil, nil, err
	}
	packages = slices.DeleteFunc(packages, func(p goPackage) bool { return m.list.HostOnly[p.Path] != "" || !m.wanted(p.Path) })
	return packages, m.narrow(plan(m.list, packages, m.short)), nil
}

// narrow leaves only the jobs that the flags ask for.
func (m *runner) narrow(jobs []job) []job {
	jobs = slices.DeleteFunc(jobs, func(j job) bool {
		return !m.wanted(j.Package) || j.Bench && (m.run != "" || m.count > 1)
	})
	for i := range jobs {
		j := &jobs[i]
		if m.kernels != "" { // those that are named run all
			j.Guests = nil
		}
		if m.run != "" {
			j.Args = append(j.Args, "-test.run="+m.run)
		}
		if m.count > 1 {
			j.Limit = time.Duration(m.count) * testLimit
			j.Args = append(j.Args, "-test.count="+strconv.Itoa(m.count), "-test.timeout="+(j.Limit-dumpTime).String())
		}
	}
	return jobs
}

func (m *runner) wanted(path string) bool {
	return m.only == "" || slices.Contains(strings.Split(m.only, ","), path)
}

// accelerators finds out once for each architecture what emulates it.
func (m *runner) accelerators(ctx context.Context, chosen []kernel, images map[string]string) {
	m.accelOf = map[string]string{}
	for _, k := range chosen {
		if m.accelOf[k.Arch] != "" {
			continue
		}
		if m.accelOf[k.Arch] = m.accel; m.accel == "" {
			accel, reason := accelerator(ctx, k.Arch, images[k.Name], m.cache)
			m.accelOf[k.Arch] = accel
			m.say(fmt.Sprintf("%s: emulated by %s (%s)", k.Arch, accel, reason))
		}
	}
}

// bootAll runs the guests, a few at a time, and returns what came of them in order. Those of
// another architecture are the slowest, and begin.
func (m *runner) bootAll(ctx context.Context, chosen []kernel, images map[string]string) []*result {
	results := make([]*result, len(chosen))
	var all sync.WaitGroup
	slots := make(chan struct{}, max(1, m.jobs))
	var order []int
	for i, k := range chosen {
		if k.Arch == hostArch {
			order = append(order, i)
		} else {
			order = append([]int{i}, order...)
		}
	}
	for _, i := range order {
		k := chosen[i]
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			m.say(k.Name + ": booting")
			results[i] = m.bootOne(ctx, k, images[k.Name])
			m.say(fmt.Sprintf("%s: ended after %v", k.Name, results[i].took.Round(time.Second)))
		})
	}
	all.Wait()
	return results
}

// console is the file that keeps what a guest has said. That of a few tests does not
// replace that of all.
func (m *runner) console(k kernel) string {
	if !m.whole() {
		k.Name += ".part"
	}
	return filepath.Join(m.cache, "logs", k.Name+".console")
}

// replayAll reads what guests have said before.
func (m *runner) replayAll(ctx context.Context, chosen []kernel) (all []*result, err error) {
	for _, k := range chosen {
		r := &result{kernel: k, accel: "replayed"}
		_, jobs, err := m.plan(ctx, k.Arch)
		if err != nil {
			return nil, err
		}
		r.jobs = m.jobsOf(k, jobs)
		f, err := os.Open(m.console(k))
		if err != nil {
			return nil, err
		}
		r.guest = newTranscript()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			r.guest.line(lines.Text())
		}
		f.Close()
		r.failure = r.guest.problem()
		for _, j := range r.guest.jobs {
			r.took += j.took
		}
		all = append(all, r)
	}
	return all, nil
}

// machine is that of a kernel. The tests find its number in their environment.
func (m *runner) machine(k kernel) machine {
	vm := machines[k.Arch]
	vm.boot += fmt.Sprintf(" %s=%d/%d", guest.Env, m.list.number(k), len(m.list.Kernels))
	return vm
}

// jobsOf returns those of the jobs for an architecture that a kernel runs.
func (m *runner) jobsOf(k kernel, jobs []job) []job {
	return slices.DeleteFunc(slices.Clone(jobs), func(j job) bool { return !j.RunsIn(m.list.number(k)) })
}

func (m *runner) bootOne(ctx context.Context, k kernel, image string) *result {
	r := &result{kernel: k, jobs: m.jobsOf(k, m.planned[k.Arch]), accel: m.accelOf[k.Arch]}
	start := time.Now()
	defer func() { r.took = time.Since(start) }()
	log, err := os.Create(m.console(k))
	if err != nil {
		r.failure = err.Error()
		return r
	}
	defer log.Close()
	initramfs := filepath.Join(m.cache, "initramfs-"+k.Name)
	if err := join(initramfs, m.initramfs[k.Arch], image+modulesFile); err != nil {
		r.failure = err.Error()
		return r
	}
	r.guest, err = bootSoundly(ctx, m.machine(k), r.accel, image, initramfs, log)
	if r.guest != nil {
		r.failure = r.guest.problem()
	}
	if err = errors.Join(err, ctx.Err()); err != nil {
		r.failure = strings.TrimPrefix(r.failure+"; "+err.Error(), "; ")
	}
	return r
}
