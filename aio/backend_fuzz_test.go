//go:build linux

package aio

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// FuzzBackend: a name is one of the four, and comes back, or it is refused: by the
// flag, by the text and by the environment, with a sentence that shows it and what
// to choose from, and without a change of the Backend.
func FuzzBackend(f *testing.F) {
	for _, name := range []string{"auto", "ppoll", "epoll", "io_uring", "", "Epoll", "epoll ", "iouring", "IO_URING", "io-uring", "Io_Ring", "-auto-", "ep\x00oll", "Backend(1)", "\xff", "%d"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		const before = Backend(17)
		flag, text := before, before
		err, textErr := flag.Set(name), text.UnmarshalText([]byte(name))
		if flag != text || (err == nil) != (textErr == nil) {
			t.Fatalf("Set(%q): %v, %v; UnmarshalText: %v, %v", name, flag, err, text, textErr)
		}
		if err == nil && !slices.Contains(backendNames[:], name) { // another spelling
			checkSpelling(t, name, flag.String())
			name = flag.String()
		}
		if slices.Contains(backendNames[:], name) {
			checkBackendName(t, flag, name, err)
			return
		}
		if flag != before {
			t.Errorf("Set(%q) has failed and has changed the Backend to %v", name, flag)
		}
		checkBackendError(t, name, err)
		if name != "" && !strings.Contains(name, "\x00") { // what an environment can hold
			checkBackendEnv(t, name)
		}
	})
}

func checkSpelling(t *testing.T, name, known string) {
	t.Helper()
	drop := func(r rune) rune {
		if r == '_' || r == '-' {
			return -1
		}
		return r
	}
	if !strings.EqualFold(strings.Map(drop, name), strings.Map(drop, known)) {
		t.Errorf("%q became %s", name, known)
	}
}

func checkBackendName(t *testing.T, b Backend, name string, err error) {
	t.Helper()
	text, textErr := b.MarshalText()
	if err != nil || textErr != nil || b.String() != name || string(text) != name {
		t.Errorf("%q became %v, %q: %v, %v", name, b, text, err, textErr)
	}
}

func checkBackendError(t *testing.T, name string, err error) {
	t.Helper()
	if err == nil {
		t.Fatalf("%q was accepted", name)
	}
	for _, part := range append(backendNames[:], strconv.Quote(name)) {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error for %q does not say %s: %v", name, part, err)
		}
	}
}

func checkBackendEnv(t *testing.T, name string) {
	t.Helper()
	t.Setenv(BackendEnv, name)
	c, err := New()
	if c != nil {
		t.Fatalf("New has made a Context with %s=%q", BackendEnv, name)
	}
	checkBackendError(t, name, err)
	if !strings.Contains(err.Error(), BackendEnv) {
		t.Errorf("the error does not name %s: %v", BackendEnv, err)
	}
}

// FuzzBackendNumber: every number has a name to print, and only that of a backend
// can be written to a file and read again.
func FuzzBackendNumber(f *testing.F) {
	for _, n := range []int{0, 3, 4, -1, math.MaxInt} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, n int) {
		b, again := Backend(n), Backend(17)
		text, err := b.MarshalText()
		if known := n >= 0 && n < len(backendNames); known != (err == nil) {
			t.Fatalf("MarshalText of %v: %q, %v", b, text, err)
		}
		if err != nil {
			if !strings.Contains(err.Error(), strconv.Itoa(n)) || !strings.Contains(b.String(), strconv.Itoa(n)) {
				t.Errorf("%v: %v", b, err)
			}
			return
		}
		if err := again.UnmarshalText(text); err != nil || again != b {
			t.Errorf("%v was read as %v, %v", b, again, err)
		}
	})
}
