//go:build linux

package file

import (
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

func TestEngineIsAFlag(t *testing.T) {
	var e Engine
	set := flag.NewFlagSet("test", flag.ContinueOnError)
	set.Var(&e, "file-engine", "")
	for _, name := range []string{"auto", "io_uring", "IO-URING", "iouring", "linux-aio", "LinuxAIO", "linux_aio", "threads"} {
		if err := set.Parse([]string{"-file-engine", name}); err != nil || spelling(e.String()) != spelling(name) {
			t.Errorf("%s: %v, %v", name, e, err)
		}
		text, err := e.MarshalText()
		var again Engine
		if err := errors.Join(err, again.UnmarshalText(text)); err != nil || again != e {
			t.Errorf("%s becomes %s: %v", name, text, err)
		}
	}
	if err := e.Set("mmap"); err == nil || !strings.Contains(err.Error(), "linux-aio") {
		t.Errorf("mmap: %v", err)
	}
	for _, bad := range []Engine{-1, 4} {
		if _, err := bad.MarshalText(); err == nil || !strings.HasPrefix(bad.String(), "Engine(") {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestLiveEngine(t *testing.T) {
	noAIO := errors.New("no Linux AIO")
	none := func() error { return noAIO }
	there := func() error { return nil }
	for _, c := range []struct {
		asked Engine
		s     surroundings
		live  Engine
		err   error
	}{
		{EngineAuto, surroundings{runs: true, linuxAIO: there}, EngineIOUring, nil},
		{EngineAuto, surroundings{runs: true, direct: true, linuxAIO: there}, EngineIOUring, nil},
		{EngineAuto, surroundings{direct: true, linuxAIO: there}, EngineLinuxAIO, nil},
		{EngineAuto, surroundings{direct: true, linuxAIO: none}, EngineThreads, nil},
		{EngineAuto, surroundings{linuxAIO: there}, EngineThreads, nil},
		{EngineIOUring, surroundings{runs: true}, EngineIOUring, nil},
		{EngineIOUring, surroundings{direct: true, linuxAIO: there}, 0, errors.ErrUnsupported},
		{EngineLinuxAIO, surroundings{runs: true, direct: true, linuxAIO: there}, EngineLinuxAIO, nil},
		{EngineLinuxAIO, surroundings{linuxAIO: there}, 0, unix.EINVAL},
		{EngineLinuxAIO, surroundings{direct: true, linuxAIO: none}, 0, noAIO},
		{EngineThreads, surroundings{runs: true, direct: true}, EngineThreads, nil},
	} {
		info, err := c.asked.live(c.s, "asked for")
		if info.Engine != c.live || !errors.Is(err, c.err) || err == nil && info.Reason == "" {
			t.Errorf("%v in %+v: %v, %v, want %v, %v", c.asked, c.s, info, err, c.live, c.err)
		}
	}
}

func TestEnvironmentChoosesTheEngine(t *testing.T) {
	s := newSetup(t, variant{backend: aio.Epoll, mode: aio.ModeThread})
	name := s.create([]byte("x"))
	t.Setenv(EngineEnv, "threads")
	f, err := Open(s.loop, name, os.O_RDONLY)
	s.must(err)
	if got := f.Engine(); got.Engine != EngineThreads || !strings.Contains(got.String(), EngineEnv) || f.auto {
		t.Errorf("the engine is %v", got)
	}
	s.close(f)
	t.Setenv(EngineEnv, "fastest")
	if _, err := Open(s.loop, name, os.O_RDONLY); err == nil || !strings.Contains(err.Error(), EngineEnv) {
		t.Errorf("a name that does not exist: %v", err)
	}
	f, err = Open(s.loop, name, os.O_RDONLY, WithEngine(EngineThreads)) // takes precedence
	s.must(err)
	s.close(f)
}
