package examples

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDial(t *testing.T) {
	onEachBackend(t, func(t *testing.T, backend string) {
		server := listen(t)
		p := start(t, "dial", "-backend", backend, "-network", "unix", "-line", "hello", server.Addr().String())
		conn := accept(t, server)
		if line, err := bufio.NewReader(conn).ReadString('\n'); line != "hello\r\n" || err != nil {
			t.Errorf("the server received %q, %v", line, err)
		}
		p.expect("^connected, with " + backend)
		for i := range 3 {
			fmt.Fprintln(conn, "line", i)
			p.expect(fmt.Sprint("^line ", i, "$"))
		}
		conn.Close()
		p.expect("^the server has closed the connection$")
		p.exits()
	})
}

func TestDialIdle(t *testing.T) {
	onEachBackend(t, func(t *testing.T, backend string) {
		server := listen(t)
		p := start(t, "dial", "-backend", backend, "-network", "unix", "-idle", "1ms", server.Addr().String())
		defer accept(t, server).Close()
		p.expect("^it sends nothing$")
		p.exits()
	})
}

// TestFdMakesAConnectionBlock is what docs/recipes.md says of File and Fd.
func TestFdMakesAConnectionBlock(t *testing.T) {
	server := listen(t)
	client, err := net.Dial("unix", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	accept(t, server).Close()
	raw, err := client.(*net.UnixConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	nonBlocking := func() (yes bool) {
		raw.Control(func(fd uintptr) {
			flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
			yes = err == nil && flags&unix.O_NONBLOCK != 0
		})
		return yes
	}
	file, err := client.(*net.UnixConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if !nonBlocking() {
		t.Error("it blocks after SyscallConn and File")
	}
	file.Fd()
	if nonBlocking() {
		t.Error("Fd of its File has left it non-blocking: docs/recipes.md says that it does not")
	}
}

func listen(t *testing.T) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix"}) // the kernel chooses a name that is no file
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func accept(t *testing.T, l *net.UnixListener) net.Conn {
	t.Helper()
	deadline := time.Now().Add(patience)
	l.SetDeadline(deadline)
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(deadline)
	t.Cleanup(func() { conn.Close() })
	return conn
}
