package feature

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOnlyConclusiveOutcomesAreRemembered(t *testing.T) {
	for _, tc := range []struct {
		name    string
		answers []error
		want    []Outcome
		probes  int
	}{
		{"works", []error{nil}, []Outcome{Works, Works}, 1},
		{"not supported", []error{notSupported(unix.ENOSYS)}, []Outcome{NotSupported, NotSupported}, 1},
		{"inconclusive, then works", []error{unix.EMFILE, nil}, []Outcome{Inconclusive, Works, Works}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			probes := 0
			f := &Feature{Name: "f", Since: "1.0", probe: func() error {
				probes++
				return tc.answers[probes-1]
			}}
			for i, want := range tc.want {
				if got, err := f.Check(); got != want || (err == nil) != (want == Works) {
					t.Errorf("Check %d: %v, %v; want %v", i, got, err, want)
				}
			}
			if probes != tc.probes {
				t.Errorf("%d probes, want %d", probes, tc.probes)
			}
		})
	}
}

// Trap 33: a filter answers with any errno; one about this moment says nothing.
func TestTrap33_ProbesTakeAnyErrno(t *testing.T) {
	for errno, want := range map[unix.Errno]Outcome{
		unix.ENOSYS: NotSupported, unix.EPERM: NotSupported, unix.EINVAL: NotSupported,
		unix.EACCES: NotSupported, unix.EOPNOTSUPP: NotSupported, unix.ENOTTY: NotSupported,
		unix.EMFILE: Inconclusive, unix.ENFILE: Inconclusive, unix.ENOMEM: Inconclusive, unix.EINTR: Inconclusive,
		unix.EAGAIN: Inconclusive, unix.EBUSY: Inconclusive, unix.EBADF: Inconclusive, unix.EFAULT: Inconclusive,
	} {
		f := &Feature{Name: "f", Since: "1.0", probe: func() error { return refusal(errno) }}
		if got, err := f.Check(); got != want || !errors.Is(err, errno) {
			t.Errorf("%v: %v, %v; want %v", errno, got, err, want)
		}
	}
}

func TestErrorNamesFeatureKernelAndErrno(t *testing.T) {
	f := &Feature{Name: "epoll_pwait2", Since: "5.11", probe: func() error { return notSupported(unix.ENOSYS) }}
	_, err := f.Check()
	if !errors.Is(err, unix.ENOSYS) {
		t.Errorf("%v does not wrap ENOSYS", err)
	}
	if want := "epoll_pwait2 (Linux 5.11): not supported: function not implemented"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

// A probe on this kernel is not allowed to be inconclusive.
func TestProbesGiveAnAnswer(t *testing.T) {
	for _, f := range All() {
		o, err := f.Check()
		t.Logf("%-40s Linux %-5s %v", f.Name, f.Since, o)
		if o == Inconclusive && !errors.Is(err, unix.EPERM) {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}
