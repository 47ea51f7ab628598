package mainloop

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzReexecMarker: a mask is taken over from this process only, and as it was
// written; everything else, which a stranger may have put into the environment, is
// an empty mask.
func FuzzReexecMarker(f *testing.F) {
	for _, value := range []string{"17,2000", "18,2000", "17", "", "17,", ",2000", "17,0x2000", "17,10000000000000000", "+17,1", "017,1", "17,1,1", "17,+1", "17,1_0"} {
		f.Add(value, uint64(1)<<13)
	}
	f.Fuzz(func(t *testing.T, value string, mask uint64) {
		const pid = 17
		if got := parseReexecMarker(value, pid); got != 0 {
			hex := strings.ToLower(value[strings.Index(value, ",")+1:])
			if strings.TrimLeft(hex, "0") != fmt.Sprintf("%x", uint64(got)) {
				t.Errorf("%q is %x", value, uint64(got))
			}
			if got := parseReexecMarker(value, pid+1); got != 0 {
				t.Errorf("%q is %x in another process too", value, uint64(got))
			}
		}
		written := fmt.Sprintf("%d,%x", pid, mask)
		if got := parseReexecMarker(written, pid); got != signalMask(mask) {
			t.Errorf("%s is %x", written, uint64(got))
		}
		if got := parseReexecMarker(written, pid+1); got != 0 {
			t.Errorf("%s is %x in another process", written, uint64(got))
		}
	})
}

// FuzzBlockedIn: whatever is in a thread's status, blockedIn says yes only if a
// line SigBlk has all bits; and it finds that line among others.
func FuzzBlockedIn(f *testing.F) {
	f.Add("Name:\tx\nSigBlk:\t0000000000002000\nSigIgn:\t0\n", uint64(1)<<13)
	f.Add("SigBlk:", uint64(1))
	f.Add("SigBlk: -1", uint64(1))
	f.Add("SigBlk:\tffffffffffffffffff", uint64(1)<<63)
	f.Add("XSigBlk:\t1\nSigBlk\n", uint64(0))
	f.Fuzz(func(t *testing.T, status string, bits uint64) {
		want := signalMask(bits)
		if err := blockedIn(status, want); err == nil && !strings.Contains(status, "SigBlk:") {
			t.Errorf("%q: no line, and no error", status)
		} else if err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
		if strings.HasPrefix(status, "SigBlk:") || strings.Contains(status, "\nSigBlk:") {
			return // the first line counts
		}
		line := fmt.Sprintf("%s\nSigBlk:\t%016x\n", status, bits)
		if err := blockedIn(line, want); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		for sig := unix.Signal(1); sig <= maxSignal; sig++ {
			one := signalMask(1) << (sig - 1)
			if err := blockedIn(line, one); (err == nil) != (want&one != 0) || err != nil && !strings.Contains(err.Error(), signalName(sig)) {
				t.Errorf("%q: signal %d: %v", line, sig, err)
			}
		}
	})
}
