package aio

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/seccomp"
	"github.com/aioloop/aioloop/internal/sys"
)

// What docs/security.md says of system calls and of descriptors.

const (
	securityDoc    = "../docs/security.md"
	allowEnv       = "AIOLOOP_TEST_ALLOW" // the calls that the child allows itself
	startEnv       = "AIOLOOP_TEST_START" // the same, for a child that starts under the filter
	profilePrefix  = "profile "
	inheritedChild = "inherited" // the child that lists its descriptors
)

func init() {
	children[profilePrefix+"park"] = func() error { return inProfile(Epoll, ModePark) }
	children[profilePrefix+"WithThread"] = withThreads
	for _, b := range realBackends {
		children[profilePrefix+b.String()] = func() error { return inProfile(b, ModeThread) }
		children["children of "+b.String()] = func() error { return hasSecretive(b) }
	}
}

// TestSeccompProfiles runs each backend with the calls of its column alone, and
// sees that each of them is needed that the runtime does not need anyway.
func TestSeccompProfiles(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped: the race detector makes system calls of its own")
	}
	doc, err := os.ReadFile(securityDoc)
	if err != nil {
		t.Skip("skipped: this binary was not started in its place in the source:", err)
	}
	column := func(name string) []string { return seccomp.Column(string(doc), name) }
	for _, b := range realBackends {
		t.Run("backend="+b.String(), func(t *testing.T) {
			if c, err := New(WithBackend(b)); err == nil {
				c.Close()
			} else if errors.Is(err, backend.ErrUnavailable) {
				t.Skip("skipped:", err)
			}
			checkProfile(t, b.String(), column("runtime"), column(b.String()))
		})
	}
	t.Run("park", func(t *testing.T) {
		checkProfile(t, "park", union(column("runtime"), column("epoll")), column("park"))
	})
	t.Run("WithThread", func(t *testing.T) {
		checkProfile(t, "WithThread", union(column("runtime"), column("ppoll")), column("WithThread"))
	})
}

func checkProfile(t *testing.T, child string, below, own []string) {
	t.Helper()
	allowed := union(below, own)
	for _, env := range []string{allowEnv, startEnv} {
		if out, err := inProfileOf(child, env, allowed); err != nil {
			t.Fatalf("%s: with the calls of %s: %v\n%s", env, securityDoc, err, out)
		}
	}
	for _, call := range own {
		if slices.Contains(below, call) {
			continue
		}
		out, err := inProfileOf(child, allowEnv, without(allowed, call))
		if err == nil {
			t.Errorf("it works without %s, which %s asks for", call, securityDoc)
		} else if !strings.Contains(string(out), "SIGSYS") && !strings.Contains(err.Error(), "bad system call") {
			t.Errorf("without %s: %v\n%s", call, err, out)
		}
	}
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

func without(calls []string, one string) []string {
	return slices.DeleteFunc(slices.Clone(calls), func(c string) bool { return c == one })
}

func inProfileOf(child, env string, calls []string) ([]byte, error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+profilePrefix+child, env+"="+strings.Join(calls, ","))
	return cmd.CombinedOutput()
}

// inProfile does everything that the document speaks of, under the filter, and
// ends the process, which looks for leaks otherwise.
func inProfile(b Backend, m Mode) error {
	file, err := unix.Open(os.Args[0], unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	n, err := NewEventNotifier()
	if err != nil {
		return err
	}
	duplicate, err := unix.FcntlInt(uintptr(n.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	sys.OnOpened(nil) // it asks what a duplicate is
	return underFilter(func() error {
		c, err := New(WithBackend(b), WithMode(m))
		if err != nil {
			return err
		}
		return errors.Join(watchFile(c, file), watchDuplicate(c, n, duplicate), completeOne(c), exercise(c))
	})
}

// underFilter calls f under the filter and ends the process. With startEnv the
// program starts once more, under the filter, and is here again.
func underFilter(f func() error) error {
	calls := os.Getenv(allowEnv)
	start := os.Getenv(startEnv)
	if start != "" {
		os.Unsetenv(startEnv)
		calls = strings.Join(append(strings.Split(start, ","), seccomp.Start...), ",")
	}
	if calls != "" {
		if err := seccomp.Allow(strings.Split(calls, ",")); err != nil {
			return err
		}
	}
	var err error
	if start != "" {
		err = unix.Exec("/proc/self/exe", os.Args, os.Environ())
	} else {
		err = f()
	}
	if err != nil {
		fmt.Println(err)
		unix.Exit(1)
	}
	unix.Exit(0)
	return nil
}

// completeOne runs an operation, where there are any.
func completeOne(c *Context) error {
	done := false
	err := submit(c, Request{}, func(int, error) { done = true })
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	for err == nil && !done {
		_, err = c.Poll()
	}
	return err
}

// withThreads sets threads up. What only root may do is asked for as well.
func withThreads() error {
	return underFilter(func() error {
		var set unix.CPUSet
		if err := unix.SchedGetaffinity(0, &set); err != nil {
			return err
		}
		for _, t := range []Thread{
			{CPUs: []int{firstCPU(set)}, TimerSlack: 1}, {CPUs: []int{firstCPU(set)}, Exclusive: true}, {Nice: 1}, {Realtime: 1},
		} {
			c, err := New(WithBackend(Ppoll), WithThread(t))
			if err != nil {
				return err
			}
			_, err = c.TryPoll()
			if err = errors.Join(err, c.Close()); err != nil && !mayFail(err) {
				return err
			}
		}
		return nil
	})
}

// mayFail reports whether a thread cannot be set up so for lack of privilege, or of a second
// CPU. The calls were made then.
func mayFail(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || strings.Contains(err.Error(), "no CPU is left")
}

// watchFile: epoll has a descriptor more while a regular file is watched.
func watchFile(c *Context, file int) error {
	called := false
	h, err := c.Watch(file, Callbacks{Read: func(*Handler) { called = true }})
	if err != nil {
		return err
	}
	for err == nil && !called {
		_, err = c.Poll()
	}
	return errors.Join(err, h.Close())
}

// watchDuplicate closes a duplicate of n's descriptor before its handler, while n
// keeps the file open: epoll gets rid of the events by a new instance.
func watchDuplicate(c *Context, n *EventNotifier, duplicate int) error {
	h, err := c.Watch(duplicate, Callbacks{Read: func(*Handler) {}})
	if err != nil {
		return err
	}
	err = errors.Join(unix.Close(duplicate), h.Close(), n.Set())
	for range 3 {
		c.Notify()
		_, e := c.Poll()
		err = errors.Join(err, e)
	}
	return errors.Join(err, n.Close())
}

// TestChildrenInheritNothing starts a program while everything is open that a
// Context opens.
func TestChildrenInheritNothing(t *testing.T) {
	for _, b := range realBackends {
		t.Run("backend="+b.String(), func(t *testing.T) { runInChild(t, "children of "+b.String()) })
	}
}

func hasSecretive(b Backend) error {
	c, err := New(WithBackend(b))
	if errors.Is(err, backend.ErrUnavailable) {
		fmt.Print(skipPrefix, err)
		return nil
	}
	if err != nil {
		return err
	}
	defer c.Close()
	n, err := NewEventNotifier()
	if err != nil {
		return err
	}
	defer n.Close()
	file, err := unix.Open(filepath.Dir(os.Args[0]), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(file)
	h, err := c.Watch(file, Callbacks{Read: func(*Handler) {}}) // epoll opens its beacon
	if err != nil {
		return err
	}
	defer h.Close()
	return inherits(0)
}

// inherited is what this process has got from its parent, a shell for example; its
// children get it as well.
var inherited []string

// inherits fails if a child sees another number of descriptors beside the three,
// and those that this process has inherited itself.
func inherits(want int, given ...*os.File) error {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+inheritedChild)
	cmd.ExtraFiles = given
	out, err := cmd.CombinedOutput()
	kept := slices.DeleteFunc(slices.Clone(inherited), func(link string) bool { // what is given takes the numbers from 3 on
		fd, _, _ := strings.Cut(link, ":")
		n, _ := strconv.Atoi(fd)
		return n < 3+len(given)
	})
	if got := strings.Count(string(out), "\n") - len(kept); err != nil || got != want {
		return fmt.Errorf("%v; besides %v the child has inherited %d descriptors, want %d:\n%s", err, kept, got, want, out)
	}
	return nil
}

// TestInheritedDescriptorsAreSeen: the list above is not empty for want of looking.
func TestInheritedDescriptorsAreSeen(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if err := inherits(2, r, w); err != nil {
		t.Error(err)
	}
}

// listInherited is the child.
func listInherited() {
	for _, link := range inherited {
		fmt.Println(link)
	}
	os.Exit(0)
}
