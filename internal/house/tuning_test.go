package house

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

const tuningDoc = "docs/tuning.md"

// TestTuningTable checks that the round trips in docs/tuning.md are those of docs/performance.
func TestTuningTable(t *testing.T) {
	rows, wrong := tuningRows(read(t, tuningDoc), read(t, pictureData))
	if rows != 18 {
		t.Errorf("%s has %d rows of round trips, want 18", tuningDoc, rows)
	}
	for _, w := range wrong {
		t.Errorf("%s: %s", tuningDoc, w)
	}
}

func TestTuningTableCanFail(t *testing.T) {
	doc := strings.Replace(read(t, tuningDoc), "14.9 ms /", "1.9 ms /", 1)
	if rows, wrong := tuningRows(doc, read(t, pictureData)); rows != 18 || len(wrong) != 1 {
		t.Errorf("%d rows, of which are wrong: %v", rows, wrong)
	}
}

// tuningRows counts the rows of round trips and says which are not those of the scenario busy.
func tuningRows(doc, table string) (rows int, wrong []string) {
	_, busy, _ := strings.Cut(table, "\nbusy\n")
	from := ""
	row := regexp.MustCompile(`(?m)^\|(?: (?:a|another) (loop|goroutine|process))? \| (\d) \| (\d|the collector) \| (.*) \| (.*) \|$`)
	for _, m := range row.FindAllStringSubmatch(doc, -1) {
		if rows++; m[1] != "" {
			from = m[1]
		}
		computing := strings.Replace(m[3], "the collector", "gc", 1)
		for backend, got := range map[string]string{"epoll": m[4], "epoll park": m[5]} {
			line := regexp.MustCompile(fmt.Sprintf(`(?m)^ +%s +%s +%s +%s +\d+ +(\S+ \S+) +\S+ \S+ +(\S+ \S+) `, from, m[2], computing, backend))
			want := line.FindStringSubmatch(busy)
			if want == nil || got != want[1]+" / "+want[2] {
				wrong = append(wrong, fmt.Sprintf("%s, GOMAXPROCS %s, %s computing, %s: %s, want %q", from, m[2], m[3], backend, got, want))
			}
		}
	}
	return rows, wrong
}
