//go:build linux

package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/aioloop/aioloop/internal/kernels/protocol"
)

//go:embed kernels.json
var listJSON []byte

// list is the data file.
type list struct {
	Kernels []kernel
	// HostOnly says why a package's tests cannot run in a guest, by its path in the module.
	HostOnly map[string]string
	// HostOnlyTests says why no guest can run a test, by package and name: aio.TestX.
	HostOnlyTests map[string]string
	// NotApplicable says why it is as it should be that subtests are skipped on every
	// kernel, by a regular expression for the reason that they give. It does not
	// hold for a test as a whole.
	NotApplicable map[string]string
	// Long says why a package's tests are left out of the short form. So are Extra and all
	// benchmarks.
	Long  map[string]string
	Extra []extra
	// Once are packages whose tests depend on no kernel: one runs them.
	Once map[string]once
	// Modules names the modules of the kernel that are loaded before a package's tests. One with a
	// question mark behind it is left out where the kernel does not have it.
	Modules map[string][]string
	// Disk says why a package's tests need temporary files on a disk, and not in memory.
	Disk map[string]string

	short bool // this is what is left for the short form
}

// kernel is one to be tested.
type kernel struct {
	Name    string   // for KERNEL=
	Arch    string   // Debian's name, which here is also Go's
	Suites  []string // of the Debian archive
	Package string   // regular expression; the highest version of what it matches is taken
	Short   bool     // belongs to the short form of the matrix
	Has     []string // names of internal/feature that have to work
	Lacks   []string // names of internal/feature that must not
}

// once says which kernel runs the tests of a package, and why the others do not.
type once struct{ Kernel, Why string }

// extra is one more run of a package's tests, in other circumstances. It leaves out tests
// for which the circumstances make no difference, and which take long under emulation.
type extra struct {
	Name    string
	Package string
	Kernels []string // those that run it; all if empty
	Run     string   // for -test.run
	Skip    string   // for -test.skip
	Env     []string
	Sysctl  map[string]string
	CPUs    int // the run is bound to the first CPUs
	UID     int
}

// parseList reads a data file, in which a misspelt key is an error.
func parseList(b []byte) (*list, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var l list
	if err := d.Decode(&l); err != nil {
		return nil, fmt.Errorf("kernels.json: %w", err)
	}
	names := map[string]bool{}
	for _, k := range l.Kernels {
		if err := k.check(); err != nil {
			return nil, fmt.Errorf("kernels.json: kernel %q: %w", k.Name, err)
		}
		if names[k.Name] {
			return nil, fmt.Errorf("kernels.json: there are two kernels %q", k.Name)
		}
		names[k.Name] = true
	}
	for _, name := range l.mentioned() {
		if !names[name] {
			return nil, fmt.Errorf("kernels.json: there is no kernel %q", name)
		}
	}
	for pattern := range l.NotApplicable {
		if _, err := regexp.Compile(pattern); err != nil {
			return nil, fmt.Errorf("kernels.json: NotApplicable: %w", err)
		}
	}
	return &l, nil
}

// shortened leaves out the explanations that concern what the short form leaves out.
func (l *list) shortened() *list {
	s := *l
	s.short = true
	s.HostOnlyTests = maps.Clone(l.HostOnlyTests)
	maps.DeleteFunc(s.HostOnlyTests, func(name, _ string) bool {
		path, _, _ := strings.Cut(name, ".")
		return l.Long[path] != ""
	})
	return &s
}

// modules returns all that an initramfs has to have.
func (l *list) modules() []string {
	all := slices.Concat(slices.Collect(maps.Values(l.Modules))...)
	if len(l.Disk) > 0 {
		all = append(all, protocol.DiskModules...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// notApplicable returns the key of NotApplicable for a reason, or an empty string.
func (l *list) notApplicable(reason string) string {
	for pattern := range l.NotApplicable {
		if regexp.MustCompile(pattern).MatchString(reason) {
			return pattern
		}
	}
	return ""
}

func (k *kernel) check() error {
	if _, ok := machines[k.Arch]; !ok {
		return fmt.Errorf("no virtual machine for the architecture %q", k.Arch)
	}
	if k.Name == "" || len(k.Suites) == 0 || k.Package == "" {
		return errors.New("it needs a name, suites and a package")
	}
	for _, f := range k.Has {
		if slices.Contains(k.Lacks, f) {
			return fmt.Errorf("it has and lacks %s", f)
		}
	}
	_, err := regexp.Compile(k.Package)
	return err
}

// choose returns the kernels that are asked for: those that are named, those of the
// short form, or all. complete says whether a test that none of them runs is a failure.
func (l *list) choose(names string, short bool) (chosen []kernel, complete bool, err error) {
	if names == "" {
		for _, k := range l.Kernels {
			if k.Short || !short {
				chosen = append(chosen, k)
			}
		}
		return chosen, true, nil
	}
	for _, name := range strings.Split(names, ",") {
		i := slices.IndexFunc(l.Kernels, func(k kernel) bool { return k.Name == name })
		if i < 0 {
			return nil, false, fmt.Errorf("there is no kernel %q in kernels.json, only %s", name, l.names())
		}
		chosen = append(chosen, l.Kernels[i])
	}
	return chosen, len(chosen) == len(l.Kernels), nil
}

// number returns the place of a kernel in the list.
func (l *list) number(k kernel) int {
	return slices.IndexFunc(l.Kernels, func(other kernel) bool { return other.Name == k.Name })
}

// guests returns the numbers of some kernels, for a job that only they run. nil stands for all.
func (l *list) guests(some func(kernel) bool) (numbers []int) {
	for i, k := range l.Kernels {
		if some(k) {
			numbers = append(numbers, i)
		}
	}
	return numbers
}

// mentioned returns the names of kernels that the rest of the file mentions.
func (l *list) mentioned() (names []string) {
	for _, o := range l.Once {
		names = append(names, o.Kernel)
	}
	for _, x := range l.Extra {
		names = append(names, x.Kernels...)
	}
	return names
}

func (l *list) names() string {
	var names []string
	for _, k := range l.Kernels {
		names = append(names, k.Name)
	}
	return strings.Join(names, ", ")
}
