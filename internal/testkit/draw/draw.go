// Package draw makes random inputs for tests that check many of them. A library would
// shrink a failing input, but a test's requirement is in the module graph of every user.
package draw

import (
	"flag"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/aioloop/aioloop/internal/testkit/guest"
)

var (
	seedFlag   = flag.Uint64("draw.seed", 0, "check only the input that this seed makes")
	checksFlag = flag.Int("draw.checks", 0, "number of inputs to check, instead of the test's own")
)

// T is one check: a testing.TB with a source of random values.
type T struct {
	testing.TB
	random *rand.Rand
}

// Check calls f with checks different inputs, fewer in a guest of make kernels. A failure
// logs the seed of its input.
func Check(t testing.TB, checks int, f func(t *T)) {
	if *seedFlag != 0 {
		one(t, *seedFlag, f)
		return
	}
	checks = guest.Few(checks)
	if *checksFlag > 0 {
		checks = *checksFlag
	}
	for range checks {
		one(t, 1+rand.Uint64N(1<<63), f)
		if t.Failed() {
			return
		}
	}
}

// one logs in a deferred call, because Fatal ends the goroutine.
func one(t testing.TB, seed uint64, f func(t *T)) {
	defer func() {
		if t.Failed() {
			t.Logf("to repeat this input: -draw.seed=%d", seed)
		}
	}()
	f(&T{TB: t, random: rand.New(rand.NewPCG(seed, 0))})
}

// Int returns a number from low to high, both included.
func Int(t *T, low, high int) int { return low + t.random.IntN(high-low+1) }

// From returns one of values.
func From[V any](t *T, values []V) V { return values[t.random.IntN(len(values))] }

// Slice returns low to high values that one makes.
func Slice[V any](t *T, low, high int, one func(t *T) V) []V {
	all := make([]V, Int(t, low, high))
	for i := range all {
		all[i] = one(t)
	}
	return all
}

const maxSteps = 60

// Repeat calls up to maxSteps of the actions, in random order. The action with the
// empty name is a check: it follows each of the others.
func Repeat(t *T, actions map[string]func(t *T)) {
	check := actions[""]
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(actions)), func(name string) bool { return name == "" })
	for range Int(t, 1, maxSteps) {
		actions[From(t, names)](t)
		if check != nil {
			check(t)
		}
	}
}
