package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// notMeasured is shown where there is no number.
const notMeasured = "–"

// formatNS writes nanoseconds up to 10 µs as whole nanoseconds, because that is
// where single ones matter, and larger values in µs, ms or s with at least three
// digits.
func formatNS(ns float64) string {
	switch {
	case ns < 10 && ns != math.Trunc(ns):
		return fmt.Sprintf("%.1f ns", ns)
	case math.Round(ns) < 1e4:
		return fmt.Sprintf("%.0f ns", ns)
	case ns < 1e7:
		return threeDigits(ns/1e3) + " µs"
	case ns < 1e10:
		return threeDigits(ns/1e6) + " ms"
	}
	return threeDigits(ns/1e9) + " s"
}

// Short writes nanoseconds for a sentence: three digits, in the unit that suits them.
func Short(ns float64) string {
	switch {
	case math.Round(ns) < 1000:
		return fmt.Sprintf("%.0f ns", ns)
	case ns < 9995:
		return fmt.Sprintf("%.2f µs", ns/1e3)
	case ns >= 999_500 && ns < 9_995_000:
		return fmt.Sprintf("%.2f ms", ns/1e6)
	case ns >= 999.5e6 && ns < 9.995e9:
		return fmt.Sprintf("%.2f s", ns/1e9)
	case ns < 1e6:
		return threeDigits(ns/1e3) + " µs"
	case ns < 1e9:
		return threeDigits(ns/1e6) + " ms"
	}
	return threeDigits(ns/1e9) + " s"
}

// Unbroken is a space at which no line ends.
const Unbroken = "\u00a0"

// threeDigits is for values from 10 upwards.
func threeDigits(v float64) string {
	if v < 99.95 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// formatCPU is formatNS, where zero means not measured.
func formatCPU(ns float64) string {
	if ns == 0 {
		return notMeasured
	}
	return formatNS(ns)
}

// formatAllocs never rounds an allocation away: 0 means none at all.
func formatAllocs(v float64) string {
	if v > 0 && v < 0.01 {
		return "<0.01"
	}
	s := strconv.FormatFloat(v, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// formatRatio writes how many times as long d takes as best.
func formatRatio(d, best time.Duration) string {
	if best <= 0 {
		return notMeasured
	}
	ratio := float64(d) / float64(best)
	if ratio < 99.995 {
		return fmt.Sprintf("%.2f×", ratio)
	}
	return fmt.Sprintf("%.0f×", ratio)
}

// formatFigure writes a number whose unit stands elsewhere.
func formatFigure(v float64) string {
	if math.Abs(v) >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(v, 'f', 2, 64), "0"), ".")
}

// Printable makes a name from a file safe for one cell of a table and for XML,
// neither of which can hold control characters.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
