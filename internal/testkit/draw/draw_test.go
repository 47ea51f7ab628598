package draw

import (
	"slices"
	"testing"
)

func TestSeedRepeatsTheInput(t *testing.T) {
	input := func(seed uint64) (drawn []int) {
		one(t, seed, func(t *T) {
			drawn = Slice(t, 3, 9, func(t *T) int { return Int(t, -5, 5) })
		})
		return drawn
	}
	if first, second := input(7), input(7); !slices.Equal(first, second) {
		t.Errorf("the same seed makes %v and %v", first, second)
	}
}

func TestCheckDrawsWithinBoundsAndReachesThem(t *testing.T) {
	numbers, lengths := map[int]bool{}, map[int]bool{}
	Check(t, 500, func(t *T) {
		all := Slice(t, 1, 3, func(t *T) int { return Int(t, 2, 4) })
		lengths[len(all)] = true
		for _, n := range all {
			numbers[n] = true
		}
	})
	for _, got := range []map[int]bool{numbers, lengths} {
		if len(got) != 3 {
			t.Errorf("500 checks drew %v, want 3 different values", got)
		}
	}
}

func TestRepeatChecksAfterEachAction(t *testing.T) {
	Check(t, 20, func(t *T) {
		actions, checks := 0, 0
		Repeat(t, map[string]func(*T){
			"a": func(*T) { actions++ },
			"b": func(*T) { actions++ },
			"":  func(*T) { checks++ },
		})
		if actions == 0 || actions != checks {
			t.Errorf("%d actions, %d checks", actions, checks)
		}
	})
}
