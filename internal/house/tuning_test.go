package house

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const tuningDoc = "docs/tuning.md"

// TestTuningTable checks that the round trips in docs/tuning.md are those of docs/performance.
func TestTuningTable(t *testing.T) {
	rows, wrong, right := tuningRows(read(t, tuningDoc), read(t, pictureData))
	if _, missing, _ := tuningRows(right, read(t, pictureData)); *update && len(wrong) > 0 && len(missing) == 0 {
		if err := os.WriteFile(filepath.Join(root, tuningDoc), []byte(right), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s has new round trips: read whether its sentences still hold", tuningDoc)
		return
	}
	if rows != 18 {
		t.Errorf("%s has %d rows of round trips, want 18", tuningDoc, rows)
	}
	for _, w := range wrong {
		t.Errorf("%s: %s", tuningDoc, w)
	}
}

func TestTuningTableCanFail(t *testing.T) {
	doc := read(t, tuningDoc)
	cell := regexp.MustCompile(`\| [^|]*/[^|]* \|\n`).FindString(doc) // of the first row, in park mode
	old := strings.Replace(doc, cell, "| 1.9 ms / 2 ms |\n", 1)
	if rows, wrong, right := tuningRows(old, read(t, pictureData)); rows != 18 || len(wrong) != 1 || right != doc {
		t.Errorf("%d rows, of which are wrong: %v; it is put right: %v", rows, wrong, right == doc)
	}
}

// tuningRows counts the rows of round trips, says which are not those of the scenario busy, and
// returns the document with those that are.
func tuningRows(doc, table string) (rows int, wrong []string, right string) {
	_, busy, _ := strings.Cut(table, "\nbusy\n")
	from, right := "", doc
	row := regexp.MustCompile(`(?m)^\|(?: (?:a|another) (loop|goroutine|process))? \| (\d) \| (\d|the collector) \| (.*) \| (.*) \|$`)
	for _, m := range row.FindAllStringSubmatch(doc, -1) {
		if rows++; m[1] != "" {
			from = m[1]
		}
		computing := strings.Replace(m[3], "the collector", "gc", 1)
		better := m[0]
		for i, backend := range []string{"epoll", "epoll park"} {
			got := m[4+i]
			line := regexp.MustCompile(fmt.Sprintf(`(?m)^ +%s +%s +%s +%s +\d+ +(\S+ \S+) +\S+ \S+ +(–|\S+ \S+) `, from, m[2], computing, backend))
			want := line.FindStringSubmatch(busy)
			if want == nil {
				wrong = append(wrong, fmt.Sprintf("%s, GOMAXPROCS %s, %s computing, %s: not measured", from, m[2], m[3], backend))
			} else if should := want[1] + " / " + want[2]; got != should {
				wrong = append(wrong, fmt.Sprintf("%s, GOMAXPROCS %s, %s computing, %s: %s, want %s", from, m[2], m[3], backend, got, should))
				better = strings.Replace(better, "| "+got+" |", "| "+should+" |", 1)
			}
		}
		right = strings.Replace(right, m[0], better, 1)
	}
	return rows, wrong, right
}
