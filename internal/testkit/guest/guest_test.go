package guest

import (
	"fmt"
	"testing"
	"time"
)

// Each case of a list runs in some guest, and on the host.
func TestRuns(t *testing.T) {
	for _, every := range []int{1, 3, 6} {
		for i := range 20 {
			t.Setenv(Env, "")
			if !Runs(i, every) {
				t.Errorf("case %d does not run on the host", i)
			}
			where := 0
			for number := range 6 {
				t.Setenv(Env, fmt.Sprintf("%d/6", number))
				if Runs(i, every) {
					where++
				}
			}
			if where != 6/every {
				t.Errorf("case %d runs in %d of 6 guests, want one in %d", i, where, every)
			}
		}
	}
	t.Setenv(Env, "0/2")
	if !Runs(2, 3) {
		t.Error("a case of three runs in neither of two guests")
	}
}

func TestGuestsAreSlow(t *testing.T) {
	t.Setenv(Env, "")
	if Is() || Patient(time.Second) != time.Second || Few(7) != 7 {
		t.Error("the host is treated as a guest")
	}
	t.Setenv(Env, "1/6")
	if !Is() || Patient(time.Second) != 5*time.Second || Few(7) != 2 {
		t.Error("a guest is treated as the host")
	}
}
