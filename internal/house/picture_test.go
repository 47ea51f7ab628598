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

var update = flag.Bool("update", false, "write what follows from docs/performance: docs/wake.svg, the README's words below it, round trips in docs/tuning.md")

const (
	pictureFile = "docs/wake.svg"
	pictureData = "docs/performance/table.txt"
)

// TestPicture draws the README's picture from the figures of docs/performance, and checks that it
// is the one in the repository, and that the README says what it shows.
func TestPicture(t *testing.T) {
	table := read(t, pictureData)
	picture, err := draw(table)
	if err != nil {
		t.Fatal(err)
	}
	caption := captionOf(table)
	if *update {
		readme := strings.Replace(read(t, "README.md"), captions[0], caption, 1)
		readme = strings.Replace(readme, captions[1], caption, 1)
		for file, text := range map[string]string{pictureFile: picture, "README.md": readme} {
			if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if read(t, pictureFile) != picture {
		t.Errorf("%s is not what %s says: go test ./internal/house -run TestPicture -update", pictureFile, pictureData)
	}
	if !strings.Contains(read(t, "README.md"), caption) {
		t.Errorf("under the picture, the README does not say\n%s\ngo test ./internal/house -run TestPicture -update", caption)
	}
}

// captions are what the README says of a picture of wake-ups, and of one that has timers too.
var captions = [2]string{
	`![Median time from hand-over to callback, for a goroutine and for a loop without and with polling](docs/wake.svg)

*A thread on another CPU hands over work and computes in between. A loop that polls, that is looks
for the next event for a while before it sleeps, needs no wake-up for what comes in that time. For
what comes later polling buys nothing. The rows are those of epoll; [performance.md](docs/performance.md) has
all of them, and where others are faster.*
`,
	`![Median time from hand-over to callback, and lateness of timers, for goroutines and for loops without and with polling](docs/wake.svg)

*Above: a thread on another CPU hands over work and computes in between. A loop that polls, that is
looks for the next event for a while before it sleeps, needs no wake-up for what comes in that time.
For what comes later polling buys nothing. Below: how late a timer is while nothing else happens. Go's
timers are whole milliseconds then. The rows are those of epoll; [performance.md](docs/performance.md) has
all of them, and where others are faster.*
`,
}

func captionOf(table string) string {
	if hasTimers(table) {
		return captions[1]
	}
	return captions[0]
}

func TestPictureNeedsItsFigures(t *testing.T) {
	table := read(t, pictureData)
	one, err := draw(table)
	if err != nil {
		t.Fatal(err)
	}
	drawn := regexp.MustCompile(`(?m)^( +off +20 +netpoller +\d+ +)\S+`)
	two, err := draw(drawn.ReplaceAllString(table, "${1}77.7"))
	if err != nil || one == two {
		t.Errorf("another figure makes the same picture: %v", err)
	}
	if _, err := draw("no table"); err == nil {
		t.Error("there is a picture without figures")
	}
}

// TestPictureOfTimers: they are drawn as soon as they have been measured, and none may be missing.
func TestPictureOfTimers(t *testing.T) {
	table, _, _ := strings.Cut(read(t, pictureData), "\nlateness\n")
	var lines strings.Builder
	for _, b := range timerPanel.bars {
		for i, after := range timerPanel.settings {
			fmt.Fprintf(&lines, "      %s  %s  %s  3631  %d.5 µs  109 µs\n", b.polling, after, b.row, 10+i)
		}
	}
	picture, err := draw(table + "\n\nlateness\n" + lines.String() + "\nother\n")
	if err != nil || !strings.Contains(picture, ">10.5<") || !strings.Contains(picture, ">11.5<") || !strings.Contains(picture, "due") {
		t.Errorf("timers were measured and are not drawn: %v", err)
	}
	_, rest, _ := strings.Cut(lines.String(), "\n")
	if _, err := draw(table + "\n\nlateness\n" + rest); err == nil {
		t.Error("a row of timers is missing, and there is a picture")
	}
	if _, err := draw(table + "\n\nlateness\n\nother\n" + lines.String()); err == nil {
		t.Error("the rows of another scenario were taken for those of timers")
	}
}

// bar is a row of the table, in its words and in those of the picture.
type bar struct{ polling, row, label, class string }

// panel shows one scenario: a group of bars for each setting.
type panel struct {
	scenario, title, group string
	settings               []string
	bars                   []bar
}

var (
	wakePanel = panel{"wake", "From hand-over to callback, between two CPUs: median, µs", "an event %s µs after the last", []string{"5", "20", "200"}, []bar{
		{"off", "goroutine+channel", "goroutine and channel", "go"},
		{"off", "netpoller", "goroutine that reads an eventfd", "go"},
		{"off", "epoll", "aioloop", "loop"},
		{"on", "epoll", "aioloop, polling for up to 32 µs", "loop"},
	}}
	timerPanel = panel{"lateness", "From when a timer was due to its callback: median, µs", "a timer for %s µs from now", []string{"50", "1000"}, []bar{
		{"off", "goroutine+channel", "time.Timer", "go"},
		{"off", "netpoller", "goroutine that reads a timerfd", "go"},
		{"off", "epoll", "aioloop", "loop"},
		{"off", "epoll exact", "aioloop, TimerSlack 1 ns", "loop"},
		{"on", "epoll", "aioloop, polling for up to 100 µs", "loop"},
	}}
)

// hasTimers reports whether a table is of a run that measured them.
func hasTimers(table string) bool { return strings.Contains(table, "\n"+timerPanel.scenario+"\n") }

const (
	labelWidth, barWidth, barHeight = 240, 520, 18
	groupHeight                     = 30
)

const pictureHead = `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="%s" viewBox="0 0 %d %d" width="%[2]d" height="%[3]d">
<style>
text{font:13px "Liberation Sans",Arial,Helvetica,sans-serif;fill:#1f2328}.page{fill:#fff}
.title{font-weight:bold}.small{font-size:11px}.go{fill:#6b7079}.loop{fill:#0072b2}
@media (prefers-color-scheme:dark){text{fill:#e3e8ee}.page{fill:#14181d}.go{fill:#b4b9c2}.loop{fill:#56b4e9}}
</style>
<rect class="page" width="100%%" height="100%%" rx="6"/>
`

// picture is written from above.
type picture struct {
	strings.Builder
	y int
}

func (p *picture) text(x int, class, what string) {
	fmt.Fprintf(p, "<text class=%q x=\"%d\" y=\"%d\">%s</text>\n", class, x, p.y, what)
}

// draw returns the picture: medians of wake-ups and, if they were measured, of timers.
func draw(table string) (string, error) {
	panels, title := []panel{wakePanel}, wakePanel.title
	if hasTimers(table) {
		panels, title = append(panels, timerPanel), title+". "+timerPanel.title
	}
	var p picture
	for _, panel := range panels {
		if err := p.panel(table, panel); err != nil {
			return "", err
		}
	}
	machine, _, _ := strings.Cut(table, "\n")
	p.y += 16
	p.text(12, "small", machine)
	return fmt.Sprintf(pictureHead, title, labelWidth+barWidth+80, p.y+8) + p.String() + "</svg>\n", nil
}

// panel draws one, in which the longest bar has all the width.
func (p *picture) panel(table string, panel panel) error {
	medians := map[string]float64{}
	longest := 0.0
	for _, setting := range panel.settings {
		for _, b := range panel.bars {
			us, err := median(table, panel.scenario, b.polling, setting, b.row)
			if err != nil {
				return err
			}
			medians[setting+b.label], longest = us, max(longest, us)
		}
	}
	p.y += 26
	p.text(12, "title", panel.title)
	p.y += 18
	for _, setting := range panel.settings {
		p.y += 16
		p.text(12, "title", fmt.Sprintf(panel.group, setting))
		p.y += groupHeight - 20
		for _, b := range panel.bars {
			us := medians[setting+b.label]
			width := us / longest * barWidth
			fmt.Fprintf(p, "<rect class=%q x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>\n", b.class, labelWidth, p.y, width, barHeight)
			p.y += 14
			p.text(12, "label", b.label)
			decimals := 1
			if us >= 100 {
				decimals = 0
			}
			p.text(labelWidth+int(width)+6, "label", strconv.FormatFloat(us, 'f', decimals, 64))
			p.y += barHeight + 4 - 14
		}
		p.y += 4
	}
	return nil
}

// median returns a p50 of a scenario in µs.
func median(table, scenario, polling, setting, row string) (float64, error) {
	_, section, _ := strings.Cut(table, "\n"+scenario+"\n")
	if end := regexp.MustCompile(`(?m)^\S`).FindStringIndex(section); end != nil { // the next scenario
		section = section[:end[0]]
	}
	line := regexp.MustCompile(`(?m)^ +` + polling + ` +` + setting + ` +` + regexp.QuoteMeta(row) + ` +\d+ +([\d.]+) (ns|µs|ms) `)
	m := line.FindStringSubmatch(section)
	if m == nil {
		return 0, fmt.Errorf("%s: the table has no line for %s, setting %s, polling %s", scenario, row, setting, polling)
	}
	us, err := strconv.ParseFloat(m[1], 64)
	return us * map[string]float64{"ns": 1e-3, "µs": 1, "ms": 1e3}[m[2]], err
}
