// Package guest is for tests that make kernels also runs in virtual machines, one for each
// kernel. They are emulated as a rule, and slow.
package guest

import (
	"fmt"
	"os"
	"time"
)

// Env is set in a guest to its number, from 0, as N/M: one of M guests. The kernel hands it
// from its command line to init.
const Env = "AIOLOOP_VM"

// Is reports whether the test runs in a guest.
func Is() bool { return os.Getenv(Env) != "" }

// Number returns the guest's, or -1 outside.
func Number() int {
	number, _ := position()
	return number
}

// position returns which guest this is, of how many; -1 outside.
func position() (number, of int) {
	if n, _ := fmt.Sscanf(os.Getenv(Env), "%d/%d", &number, &of); n != 2 {
		return -1, 0
	}
	return number, of
}

// Patient makes a bound against hanging wider in a guest.
func Patient(d time.Duration) time.Duration {
	if Is() {
		d *= 5
	}
	return d
}

// Few divides how often something is repeated that does not depend on the kernel.
func Few(n int) int {
	if Is() {
		n = (n + 4) / 5
	}
	return n
}

// Runs reports whether this guest is among those that run case i of a long list: one guest in
// every. So each case runs on the host and in some guests, and the list is gone through
// quickly in each.
func Runs(i, every int) bool {
	number, of := position()
	return of < every || i%every == number%every
}
