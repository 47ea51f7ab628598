package report

import (
	"testing"
	"time"
)

func TestFormatNS(t *testing.T) {
	tests := []struct {
		ns   float64
		want string
	}{
		{0, "0 ns"}, {0.25, "0.2 ns"}, {7, "7 ns"}, {64.3, "64 ns"}, {9999, "9999 ns"}, {9999.4, "9999 ns"},
		{9999.6, "10.0 µs"}, {10_000, "10.0 µs"}, {28_449, "28.4 µs"}, {99_949, "99.9 µs"}, {99_950, "100 µs"},
		{1_234_567, "1235 µs"}, {10_000_000, "10.0 ms"}, {430e6, "430 ms"}, {10e9, "10.0 s"}, {60e9, "60.0 s"},
	}
	for _, tt := range tests {
		if got := formatNS(tt.ns); got != tt.want {
			t.Errorf("formatNS(%v) = %q, want %q", tt.ns, got, tt.want)
		}
	}
}

func TestFormatRatio(t *testing.T) {
	tests := []struct {
		d, best time.Duration
		want    string
	}{
		{100, 100, "1.00×"}, {105, 100, "1.05×"}, {9999, 100, "99.99×"}, {10000, 100, "100×"}, {5, 0, "–"}, {0, 0, "–"},
	}
	for _, tt := range tests {
		if got := formatRatio(tt.d, tt.best); got != tt.want {
			t.Errorf("formatRatio(%d, %d) = %q, want %q", tt.d, tt.best, got, tt.want)
		}
	}
}

func TestFormatAllocsAndCPU(t *testing.T) {
	tests := []struct{ got, want string }{
		{formatAllocs(0), "0"}, {formatAllocs(0.001), "<0.01"}, {formatAllocs(0.5), "0.5"}, {formatAllocs(10), "10"}, {formatAllocs(2.126), "2.13"},
		{formatCPU(0), "–"}, {formatCPU(0.5), "0.5 ns"}, {formatCPU(4800), "4800 ns"},
	}
	for i, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%d: got %q, want %q", i, tt.got, tt.want)
		}
	}
}

func TestPrintable(t *testing.T) {
	if got := Printable("a\tb\nc\x00d µ×"); got != "a\uFFFDb\uFFFDc\uFFFDd µ×" {
		t.Errorf("got %q", got)
	}
}
