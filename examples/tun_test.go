package examples

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tunPrograms is the environment variable that makes this program ping through tun. Its value
// is where the examples are.
const tunPrograms = "AIOLOOP_EXAMPLES_TUN"

// datagrams are more than tun handles in one callback.
const datagrams = 100

// TestTun runs tun, and what pings through it, in a network namespace of their own: as an
// ordinary user in a user namespace too, where they have CAP_NET_ADMIN.
func TestTun(t *testing.T) {
	device, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		t.Skip("skipped:", err)
	}
	device.Close()
	onEachBackend(t, func(t *testing.T, backend string) {
		cmd := exec.Command("/proc/self/exe", "-backend", backend)
		cmd.Env = append(os.Environ(), tunPrograms+"="+bin)
		cmd.SysProcAttr = newNetwork()
		p, err := startCommand(t, cmd)
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
			t.Skip("skipped: no network namespace of its own: it needs CAP_SYS_ADMIN, or that user namespaces are allowed:", err)
		} else if err != nil {
			t.Fatal(err)
		}
		if line := p.expect(`^tun0 has 10\.99\.0\.1/24, with ` + backend + `|^skipped: `); line[0] == 's' {
			t.Skip(line)
		}
		p.expect(fmt.Sprintf(`^%d datagrams came back$`, datagrams))
		p.expect(`^\d+ packets sent back, \d+ dropped$`)
		p.exits()
	})
}

func TestTunBadFlags(t *testing.T) {
	start(t, "tun", "-address", "fe80::1/64").fails("choose an -address")
}

// newNetwork asks for a network namespace, as root or inside a user namespace.
func newNetwork() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return attr
}

// pingTun is the process in the namespace. It returns its exit status.
func pingTun(dir string, args []string) int {
	if err := runTun(exec.Command(filepath.Join(dir, "tun"), args...)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// runTun pings through tun when that says that it is ready, and ends it.
func runTun(tun *exec.Cmd) error {
	var stderr bytes.Buffer
	tun.Stderr = &stderr
	out, err := tun.StdoutPipe()
	if err != nil {
		return err
	}
	if err := tun.Start(); err != nil {
		return err
	}
	defer tun.Process.Kill()
	var failed error
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Println(lines.Text())
		if strings.Contains(lines.Text(), " has ") {
			failed = errors.Join(exchangeDatagrams(), tun.Process.Signal(os.Interrupt))
		}
	}
	err = errors.Join(failed, tun.Wait())
	switch {
	case err != nil && strings.Contains(stderr.String(), "CAP_NET_ADMIN is missing"): // some systems give a user namespace none
		fmt.Println("skipped:", &stderr)
	case err != nil || stderr.Len() > 0:
		return fmt.Errorf("%v; stderr of tun: %s", err, &stderr)
	}
	return nil
}

// exchangeDatagrams sends datagrams to an address behind the interface. They come back from there.
func exchangeDatagrams() error {
	const port = 7000 // of both, as they are exchanged with the addresses
	conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(10, 99, 0, 1), Port: port}, &net.UDPAddr{IP: net.IPv4(10, 99, 0, 2), Port: port})
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	for i := range datagrams {
		fmt.Fprint(conn, i)
	}
	var buf [16]byte
	for i := range datagrams {
		n, err := conn.Read(buf[:])
		if err != nil {
			return err
		}
		if got := string(buf[:n]); got != fmt.Sprint(i) {
			return fmt.Errorf("%q came back, want %d", got, i)
		}
	}
	fmt.Println(datagrams, "datagrams came back")
	return nil
}
