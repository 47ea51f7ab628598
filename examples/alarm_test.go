package examples

import (
	"fmt"
	"os/exec"
	"strconv"
	"testing"
)

// TestAlarm sends signals as a reader does, with kill.
func TestAlarm(t *testing.T) {
	onEachBackend(t, func(t *testing.T, backend string) {
		t.Setenv("AIOLOOP_BACKEND", backend)
		p := start(t, "alarm")
		pid := strconv.Itoa(p.cmd.Process.Pid) // an exec keeps it
		p.expect("^try kill -s ALRM " + pid + "$")
		for range 3 {
			kill := exec.Command("sh", "-c", "kill -s ALRM "+pid) // the one built in: there may be no other
			if out, err := kill.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			p.expect(fmt.Sprintf("^alarm clock from %d$", kill.Process.Pid))
		}
		p.interrupt()
		if err := p.cmd.Wait(); err == nil || err.Error() != "signal: interrupt" {
			t.Errorf("ctrl-C: %v; stderr: %s", err, &p.stderr)
		}
	})
}
