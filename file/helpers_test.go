//go:build linux

package file

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/leak"
)

// children are the functions that a test runs in a process of its own, by the value of childEnv.
// They have a folder of their own, and print what they have to say.
var children = map[string]func(dir string) error{}

const (
	childEnv    = "AIOLOOP_TEST_CHILD"
	childDirEnv = "AIOLOOP_TEST_DIR"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		os.Exit(leak.Run(func() int { return runChild(name) }))
	}
	os.Unsetenv(EngineEnv) // the tests choose for themselves
	os.Unsetenv(aio.BackendEnv)
	leak.Main(m)
}

func runChild(name string) int {
	f := children[name]
	if f == nil {
		fmt.Println("no such child:", name)
		return 2
	}
	if err := f(os.Getenv(childDirEnv)); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// skipPrefix is how a child begins that cannot do its work here.
const skipPrefix = "skipped: "

// skipped is the error of a child that cannot do its work here.
func skipped(why ...any) error { return errors.New(skipPrefix + fmt.Sprint(why...)) }

// inChild runs this test binary once more, for one function of children.
func inChild(t *testing.T, name string, attr *syscall.SysProcAttr) {
	t.Helper()
	dir := t.TempDir()
	if attr != nil && attr.Credential != nil {
		for _, d := range []string{dir, filepath.Dir(dir)} { // t.TempDir makes two
			if err := os.Chmod(d, 0o777); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.SysProcAttr = attr
	cmd.Env = append(os.Environ(), childEnv+"="+name, childDirEnv+"="+dir, "GORACE=atexit_sleep_ms=0") // the race detector waits a second
	out, err := cmd.CombinedOutput()
	said := strings.TrimSpace(string(out))
	if cmd.ProcessState == nil {
		t.Skip(skipPrefix, "no process with these privileges: ", err)
	}
	for _, root := range []string{cgroupPids, cgroupMemory, cgroupUnified, cgroups} { // it may have crashed
		_ = os.Remove(groupBelow(root, cmd.ProcessState.Pid()))
	}
	switch {
	case strings.HasPrefix(said, skipPrefix), strings.Contains(said, "failed to create new OS thread"):
		t.Skip(said)
	case err != nil:
		t.Errorf("%s: %v\n%s", name, err, said)
	case said != "":
		t.Log(said)
	}
}

// variant is one way to run a File.
type variant struct {
	backend aio.Backend
	mode    aio.Mode
	engine  Engine
	direct  bool
}

func (v variant) String() string {
	s := fmt.Sprintf("%v,%v,%v", v.backend, v.mode, v.engine)
	if v.direct {
		s += ",O_DIRECT"
	}
	return s
}

// variants are all that can be combined.
func variants() (all []variant) {
	for _, b := range []aio.Backend{aio.Ppoll, aio.Epoll, aio.IOUring} {
		for _, m := range []aio.Mode{aio.ModeThread, aio.ModePark} {
			if b == aio.Ppoll && m == aio.ModePark {
				continue
			}
			for _, e := range []Engine{EngineAuto, EngineIOUring, EngineLinuxAIO, EngineThreads} {
				for _, direct := range []bool{false, true} {
					if e == EngineIOUring && b != aio.IOUring || e == EngineLinuxAIO && !direct {
						continue
					}
					all = append(all, variant{b, m, e, direct})
				}
			}
		}
	}
	return all
}

func eachVariant(t *testing.T, test func(t *testing.T, s *setup)) {
	for _, v := range variants() {
		t.Run(v.String(), func(t *testing.T) { test(t, newSetup(t, v)) })
	}
}

// setup is a loop and what a test does on it.
type setup struct {
	*testing.T
	variant
	loop *aio.Context
	dir  string
}

func newSetup(t *testing.T, v variant) *setup {
	loop, err := aio.New(aio.WithBackend(v.backend), aio.WithMode(v.mode))
	if errors.Is(err, backend.ErrUnavailable) {
		t.Skip("skipped:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := loop.Close(); err != nil && !errors.Is(err, aio.ErrClosed) {
			t.Errorf("Close of the loop: %v", err)
		}
	})
	return &setup{T: t, variant: v, loop: loop, dir: t.TempDir()}
}

func (s *setup) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// create makes a file with the contents.
func (s *setup) create(contents []byte) (name string) {
	s.Helper()
	name = filepath.Join(s.dir, fmt.Sprintf("file%p", &contents))
	s.must(os.WriteFile(name, contents, 0o600))
	return name
}

// flags are those of the variant.
func (s *setup) flags() int {
	if s.direct {
		return unix.O_DIRECT
	}
	return 0
}

// open opens a file that is closed at the end of the test.
func (s *setup) open(name string, flags int, opts ...Option) *File {
	s.Helper()
	f, err := Open(s.loop, name, flags|s.flags(), append([]Option{WithEngine(s.engine)}, opts...)...)
	if s.direct && errors.Is(err, unix.EINVAL) {
		s.Skip("skipped: the filesystem has no O_DIRECT")
	}
	s.must(err)
	s.Cleanup(func() { s.close(f) })
	return f
}

func (s *setup) close(f *File) {
	if err := f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		s.Errorf("Close: %v", err)
	}
}

// until polls until cond holds.
func (s *setup) until(cond func() bool) {
	s.Helper()
	for !cond() {
		_, err := s.loop.Poll()
		s.must(err)
	}
}

// do runs one request and returns what Done has seen.
func (s *setup) do(call func(*Request) error, r *Request) (int64, error) {
	s.Helper()
	done := false
	r.Done = func(*Request) { done = true }
	s.must(call(r))
	if done {
		s.Fatal("Done was called inside the call")
	}
	s.until(func() bool { return done })
	return r.N, r.Err
}

// pattern fills b with what depends on where it is in the file, and on seed.
func pattern(b []byte, offset int64, seed byte) {
	for i := range b {
		at := offset + int64(i)
		b[i] = byte(at) ^ byte(at>>9)*7 ^ byte(at>>17) ^ seed
	}
}

func patterned(n int, offset int64, seed byte) []byte {
	b := make([]byte, n)
	pattern(b, offset, seed)
	return b
}
