package house

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "draw docs/wake.svg again")

const (
	pictureFile = "docs/wake.svg"
	pictureData = "docs/performance/table.txt"
)

// TestPicture draws the README's picture from the figures of docs/performance, and checks that it
// is the one in the repository.
func TestPicture(t *testing.T) {
	picture, err := draw(read(t, pictureData))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(filepath.Join(root, pictureFile), []byte(picture), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, pictureFile) != picture {
		t.Errorf("%s is not what %s says: go test ./internal/house -run TestPicture -update", pictureFile, pictureData)
	}
}

func TestPictureNeedsItsFigures(t *testing.T) {
	table := read(t, pictureData)
	one, err := draw(table)
	if err != nil {
		t.Fatal(err)
	}
	two, err := draw(strings.Replace(table, "97.3 µs", "77.3 µs", 1))
	if err != nil || one == two {
		t.Errorf("another figure makes the same picture: %v", err)
	}
	if _, err := draw("no table"); err == nil {
		t.Error("there is a picture without figures")
	}
}

// bars are the rows of each group of the picture, in the words of the table and in its own.
var bars = []struct{ polling, row, label, class string }{
	{"off", "goroutine+channel", "goroutine and channel", "go"},
	{"off", "netpoller", "goroutine that reads an eventfd", "go"},
	{"off", "epoll", "aioloop", "loop"},
	{"on", "epoll", "aioloop, polling for up to 32 µs", "loop"},
}

const (
	labelWidth, barWidth, barHeight = 240, 520, 18
	fullScale                       = 105 // µs
)

const pictureHead = `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="%s" viewBox="0 0 %d %d" width="%[2]d" height="%[3]d">
<style>
text{font:13px "Liberation Sans",Arial,Helvetica,sans-serif;fill:#1f2328}.page{fill:#fff}
.title{font-weight:bold}.small{font-size:11px}.go{fill:#6b7079}.loop{fill:#0072b2}
@media (prefers-color-scheme:dark){text{fill:#e3e8ee}.page{fill:#14181d}.go{fill:#b4b9c2}.loop{fill:#56b4e9}}
</style>
<rect class="page" width="100%%" height="100%%" rx="6"/>
`

// draw returns the picture: medians of scenario wake on epoll, a group of bars for each gap.
func draw(table string) (string, error) {
	const title = "From hand-over to callback, between two CPUs: median, µs"
	gaps := []string{"5", "20", "200"}
	height := 44 + len(gaps)*(30+len(bars)*(barHeight+4)) + 24
	var s strings.Builder
	fmt.Fprintf(&s, pictureHead, title, labelWidth+barWidth+80, height)
	text := func(x, y int, class, what string) {
		fmt.Fprintf(&s, "<text class=%q x=\"%d\" y=\"%d\">%s</text>\n", class, x, y, what)
	}
	text(12, 26, "title", title)
	y := 44
	for _, gap := range gaps {
		text(12, y+16, "title", "an event "+gap+" µs after the last")
		y += 26
		for _, bar := range bars {
			us, err := median(table, bar.polling, gap, bar.row)
			if err != nil {
				return "", err
			}
			width := us / fullScale * barWidth
			text(12, y+14, "label", bar.label)
			fmt.Fprintf(&s, "<rect class=%q x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>\n", bar.class, labelWidth, y, width, barHeight)
			text(labelWidth+int(width)+6, y+14, "label", strconv.FormatFloat(us, 'f', 1, 64))
			y += barHeight + 4
		}
		y += 4
	}
	machine, _, _ := strings.Cut(table, "\n")
	text(12, y+16, "small", machine)
	s.WriteString("</svg>\n")
	return s.String(), nil
}

// median returns a p50 of scenario wake in µs.
func median(table, polling, gap, row string) (float64, error) {
	line := regexp.MustCompile(`(?m)^ +` + polling + ` +` + gap + ` +` + regexp.QuoteMeta(row) + ` +\d+ +([\d.]+) (ns|µs) `)
	m := line.FindStringSubmatch(table)
	if m == nil {
		return 0, fmt.Errorf("the table has no line for %s, gap %s, polling %s", row, gap, polling)
	}
	us, err := strconv.ParseFloat(m[1], 64)
	if m[2] == "ns" {
		us /= 1000
	}
	return us, err
}
