package backend

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzTag: no bit of the index or of the generation is lost, and no bit of a Tag
// that came back from the kernel.
func FuzzTag(f *testing.F) {
	f.Add(uint64(0))
	f.Add(uint64(math.MaxUint64))
	f.Add(uint64(1)<<32 | math.MaxUint32)
	f.Fuzz(func(t *testing.T, bits uint64) {
		tag := Tag(bits)
		if got := MakeTag(tag.Index(), tag.Generation()); got != tag {
			t.Errorf("MakeTag(%#x, %#x) is %#x, want %#x", tag.Index(), tag.Generation(), got, tag)
		}
		if next := MakeTag(tag.Index(), tag.Generation()+1); next == tag || next.Index() != tag.Index() {
			t.Errorf("the next use of the index of %#x is %#x", tag, next)
		}
	})
}

// FuzzCompletion: a result is either an error, with the kernel's number, or none.
func FuzzCompletion(f *testing.F) {
	for _, result := range []int32{0, 1, -int32(unix.ECANCELED), -1, math.MinInt32, math.MaxInt32} {
		f.Add(result)
	}
	f.Fuzz(func(t *testing.T, result int32) {
		err := (&Request{Result: result}).Err()
		if (err != nil) != (result < 0) {
			t.Fatalf("%d gives %v", result, err)
		}
		var errno unix.Errno
		if err != nil && (!errors.As(err, &errno) || int32(errno) != -result || err.Error() == "") {
			t.Errorf("%d gives %#v", result, err)
		}
	})
}

// FuzzEvents: the names of a set tell it from every other set, and Check refuses
// just those that have a bit that cannot be asked for.
func FuzzEvents(f *testing.F) {
	f.Add(uint32(0))
	f.Add(uint32(In | Hup | Edge))
	f.Add(uint32(1 << 20))
	f.Add(uint32(math.MaxUint32))
	f.Fuzz(func(t *testing.T, bits uint32) {
		e := Events(bits)
		var named Events
		for name := range strings.SplitSeq(e.String(), "|") {
			named |= eventsOf(t, name)
		}
		if named != e {
			t.Errorf("%#x is called %s, which is %#x", bits, e, uint32(named))
		}
		if err := e.Check(); (err != nil) != (e&(Err|Hup|Nval) != 0 || e&^everyEvent != 0) {
			t.Errorf("Check of %s: %v", e, err)
		}
	})
}

const everyEvent = In | Pri | Out | RdHup | Err | Hup | Nval | Edge

// eventsOf is the inverse of String, for one name.
func eventsOf(t *testing.T, name string) Events {
	t.Helper()
	for bit := Events(1); bit != 0; bit <<= 1 {
		if bit&everyEvent != 0 && bit.String() == name {
			return bit
		}
	}
	return hexEvents(t, name)
}

// hexEvents reads what String says of bits that have no name.
func hexEvents(t *testing.T, number string) Events {
	t.Helper()
	if number == "0" {
		return 0
	}
	bits, err := strconv.ParseUint(number, 0, 32)
	if err != nil || Events(bits)&everyEvent != 0 {
		t.Errorf("an event is called %q: %v", number, err)
	}
	return Events(bits)
}
