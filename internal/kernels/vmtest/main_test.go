//go:build linux

package vmtest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/aioloop/aioloop/internal/leak"
	"github.com/aioloop/aioloop/internal/testkit/guest"
)

// childEnv is set in a child process.
const (
	childEnv = "AIOLOOP_VM_CHILD"
	nobody   = 65534
)

// children are the functions that a test runs in a process of its own. They return
// what they have to say.
var children = map[string]func() (string, error){}

func TestMain(m *testing.M) {
	if f := children[os.Getenv(childEnv)]; f != nil {
		beChild(f)
	}
	os.Unsetenv("AIOLOOP_BACKEND")
	leak.Main(m)
}

func beChild(f func() (string, error)) {
	said, err := f()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(said)
	os.Exit(0)
}

// needVM skips a test outside the virtual machines.
func needVM(t *testing.T) {
	t.Helper()
	if !guest.Is() {
		t.Skip("changes settings of the whole machine: runs in the virtual machines of make kernels only")
	}
}

// inChild runs a function of children as an unprivileged user, or as root.
func inChild(t *testing.T, name string, uid uint32) string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	if uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return strings.TrimSpace(string(out))
}
