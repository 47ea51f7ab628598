// Package examples runs the programs in its subdirectories, each on each backend,
// the way a reader would.
package examples

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/leak"
)

// bin is where TestMain has put the programs.
var bin string

func TestMain(m *testing.M) {
	if dir := os.Getenv(tunPrograms); dir != "" {
		os.Exit(pingTun(dir, os.Args[1:]))
	}
	os.Exit(leak.Run(func() int { return buildAndRun(m) }))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "aioloop-examples-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	bin = dir
	build := exec.Command("go", "build", "-o", dir, "./...")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return 1
	}
	return m.Run()
}

func TestHello(t *testing.T) {
	onEachBackend(t, func(t *testing.T, backend string) {
		t.Setenv(aio.BackendEnv, backend)
		p := start(t, "hello")
		p.expect("^waiting with " + backend + ` \(asked for by AIOLOOP_BACKEND\)$`)
		p.expect("^hello from the loop$")
		p.exits()
	})
}

func TestTicker(t *testing.T) {
	onEachBackend(t, func(t *testing.T, backend string) {
		p := start(t, "ticker", "-backend", backend, "-hz", "10000", "-duration", "100ms")
		p.expect("^1000 ticks of 100µs with " + backend)
		p.expect(`^late by: p50 \S+, p99 \S+, max \S+$`)
		p.exits()
	})
}

func TestInotify(t *testing.T) { testInotify(t, "inotify") }

func TestInotifyCoroutine(t *testing.T) { testInotify(t, "inotify-coroutine") }

func testInotify(t *testing.T, program string) {
	onEachBackend(t, func(t *testing.T, backend string) {
		dir := t.TempDir()
		p := start(t, program, "-backend", backend, dir)
		p.expect("^watching " + regexp.QuoteMeta(dir) + " with " + backend)
		name := filepath.Join(dir, "a file")
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		p.expect(`^created: "a file"$`)
		p.expect(`^written: "a file"$`)
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		p.expect(`^deleted: "a file"$`)
		p.interrupt()
		p.exits()
	})
}

func TestEcho(t *testing.T) { testEcho(t, "echo") }

func TestEchoCoroutine(t *testing.T) { testEcho(t, "echo-coroutine") }

func testEcho(t *testing.T, program string) {
	onEachBackend(t, func(t *testing.T, backend string) {
		socket := filepath.Join(t.TempDir(), "s")
		p := start(t, program, "-backend", backend, "-socket", socket)
		p.expect("^listening on .* with " + backend)

		one, two := dial(t, socket), dial(t, socket)
		one.send("half a li") // and another client's line overtakes it
		two.send("hello\nworld\n")
		two.receives("hello\nworld\n")
		one.send("ne\n")
		one.receives("half a line\n")

		// More than the socket holds, so that the server has to wait with writing,
		// and stops reading until this client reads.
		long := strings.Repeat(strings.Repeat("x", 999)+"\n", 3000)
		sent := make(chan struct{})
		go func() { defer close(sent); one.send(long) }()
		two.send("still served\n")
		two.receives("still served\n")
		one.receives(long)
		<-sent

		two.close()
		p.interrupt()
		p.expect("^stopping, [12] clients connected$")
		p.exits()
		if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket was left behind: %v", err)
		}
	})
}

// TestEchoHangUp checks that the end of the input is not the end of the output,
// and that a client that leaves with its echo unread harms no one.
func TestEchoHangUp(t *testing.T) {
	onEachBackend(t, func(t *testing.T, backend string) {
		socket := filepath.Join(t.TempDir(), "s")
		p := start(t, "echo", "-backend", backend, "-socket", socket)
		p.expect("^listening on ")

		rude := dial(t, socket)
		rude.send(strings.Repeat("never read\n", 1000))
		rude.close()
		c := dial(t, socket)
		c.send("no newline")
		c.CloseWrite()
		if got, err := io.ReadAll(c); string(got) != "no newline" || err != nil {
			t.Errorf("after the end of the input: %q, %v", got, err)
		}
		p.interrupt()
		p.expect("^stopping, 0 clients connected$")
		p.exits()
	})
}

func TestBadFlags(t *testing.T) {
	for _, args := range [][]string{{"-backend", "kqueue"}, {"-hz", "0"}} {
		out, err := exec.Command(filepath.Join(bin, "ticker"), args...).CombinedOutput()
		if exit := new(exec.ExitError); !errors.As(err, &exit) || !bytes.Contains(out, []byte("choose")) {
			t.Errorf("ticker %v: %v, output %q", args, err, out)
		}
	}
}

func onEachBackend(t *testing.T, f func(t *testing.T, backend string)) {
	for _, b := range []aio.Backend{aio.Ppoll, aio.Epoll, aio.IOUring} {
		t.Run("backend="+b.String(), func(t *testing.T) {
			skipUnlessAvailable(t, b)
			f(t, b.String())
		})
	}
}

func skipUnlessAvailable(t *testing.T, b aio.Backend) {
	loop, err := aio.New(aio.WithBackend(b))
	if errors.Is(err, backend.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := loop.Close(); err != nil {
		t.Fatal(err)
	}
}

// patience is how long a program may take for the next line, on a busy machine.
const patience = 20 * time.Second

// process is an example that runs.
type process struct {
	*testing.T
	cmd    *exec.Cmd
	lines  chan string // of its standard output
	stderr bytes.Buffer
}

func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p, err := startCommand(t, exec.Command(filepath.Join(bin, name), args...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func startCommand(t *testing.T, cmd *exec.Cmd) (*process, error) {
	p := &process{T: t, cmd: cmd, lines: make(chan string)}
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(func() { p.cmd.Process.Kill() })
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	return p, nil
}

// expect reads lines until one matches, and returns that.
func (p *process) expect(pattern string) string {
	p.Helper()
	var seen []string
	for timeout := time.After(patience); ; {
		select {
		case line, more := <-p.lines:
			if !more {
				p.Fatalf("no line matches %q before the end\nstdout: %q\nstderr: %s", pattern, seen, &p.stderr)
			}
			if regexp.MustCompile(pattern).MatchString(line) {
				return line
			}
			seen = append(seen, line)
		case <-timeout:
			p.Fatalf("no line matches %q, there were %q", pattern, seen)
		}
	}
}

func (p *process) interrupt() {
	p.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		p.Fatal(err)
	}
}

// exits waits for the end and checks that there was nothing to complain about.
func (p *process) exits() {
	p.Helper()
	kill := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	defer kill.Stop()
	for range p.lines { // up to the end of file, which Wait may not overtake
	}
	if err := p.cmd.Wait(); err != nil || p.stderr.Len() > 0 {
		p.Errorf("%v; stderr: %s", err, &p.stderr)
	}
}

// fails waits for the end, and checks that the program says why on its standard error.
func (p *process) fails(reason string) {
	p.Helper()
	kill := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	defer kill.Stop()
	for range p.lines {
	}
	if err := p.cmd.Wait(); err == nil || !strings.Contains(p.stderr.String(), reason) {
		p.Errorf("%v; stderr: %s; want %q", err, &p.stderr, reason)
	}
}

// peer is a client of the echo server.
type peer struct {
	*net.UnixConn
	t *testing.T
}

func dial(t *testing.T, socket string) *peer {
	t.Helper()
	conn, err := net.DialTimeout("unix", socket, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &peer{conn.(*net.UnixConn), t}
}

func (p *peer) send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p, s); err != nil {
		p.t.Errorf("send: %v", err)
	}
}

func (p *peer) receives(want string) {
	p.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(p, got); err != nil || string(got) != want {
		p.t.Fatalf("received %d bytes of %d (%v), the same: %v", n, len(want), err, string(got[:n]) == want[:n])
	}
}

func (p *peer) close() { p.Close() }
