package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"slices"
	"strings"
)

// The picture of ratios: a line for each pair of rows, from the lowest to the highest
// of the rounds, with a dot at the median. The axis begins at zero and 1 is marked. It
// is written without gonum, which has no such plot, in the same classes.

const (
	ratioWidth, ratioLabel, ratioMargin = 560.0, 190.0, 24.0
	ratioLine, ratioTop                 = 15.0, 26.0
)

// ratioBar is one line of the picture.
type ratioBar struct {
	row, label string
	style      int
	Ratio
}

// ratioPlot leaves out ratios to what does not sleep at all: they would make all
// others small.
func (g group) ratioPlot(refs []reference, styles map[string]int) template.HTML {
	bars := g.ratioBars(refs, styles)
	if len(bars) == 0 {
		return ""
	}
	return template.HTML(drawRatios(bars, ""))
}

// ratioFile is the same for rows of the library, as a file of its own. It is empty if
// there are none.
func (g group) ratioFile(styles map[string]int) string {
	bars := slices.DeleteFunc(g.ratioBars(references, styles), func(b ratioBar) bool { return !isLibrary(b.row) })
	if len(bars) == 0 {
		return ""
	}
	return drawRatios(bars, standaloneHead())
}

func (g group) ratioBars(refs []reference, styles map[string]int) []ratioBar {
	var bars []ratioBar
	for _, res := range g.ownResults() {
		for _, ref := range refs {
			if r, ok := g.ratio(res, ref); ok && ref.label != "spin" {
				bars = append(bars, ratioBar{res.Backend, res.Backend + " ÷ " + ref.label, styles[res.Backend], r})
			}
		}
	}
	return bars
}

// drawRatios puts head in front of the drawing.
func drawRatios(bars []ratioBar, head string) string {
	high := 1.0
	for _, b := range bars {
		high = max(high, b.High)
	}
	step := ratioStep(high)
	end := math.Ceil(high/step-1e-9) * step
	x := func(v float64) float64 { return ratioLabel + v/end*(ratioWidth-ratioLabel-ratioMargin) }
	height := ratioTop + ratioLine*float64(len(bars)) + 8
	var b strings.Builder
	size := ""
	if head != "" { // in the page, the style sheet decides
		size = fmt.Sprintf(` width="%g" height="%g"`, ratioWidth, height)
	}
	fmt.Fprintf(&b, `<svg class="plot" viewBox="0 0 %g %g"%s role="img" xmlns="http://www.w3.org/2000/svg"><title>ratios of p50, from zero</title>`, ratioWidth, height, size)
	b.WriteString(head)
	for i := 0; float64(i)*step <= end+step/2; i++ {
		v := float64(i) * step
		line(&b, "s-grid", x(v), ratioTop-6, x(v), height-6, 1)
		fmt.Fprintf(&b, `<text class="f-soft" x="%.1f" y="14" font-size="10" text-anchor="middle">%g</text>`, x(v), math.Round(v*1e6)/1e6)
	}
	line(&b, "s-ink", x(1), ratioTop-6, x(1), height-6, 1)
	for i, bar := range bars {
		bar.draw(&b, x, ratioTop+ratioLine*(float64(i)+0.5))
	}
	b.WriteString("</svg>")
	return b.String()
}

func (bar ratioBar) draw(b *strings.Builder, x func(float64) float64, y float64) {
	fmt.Fprintf(b, `<text class="f-ink" x="%.1f" y="%.1f" font-size="10" text-anchor="end">%s</text>`, ratioLabel-10, y+3.5, html.EscapeString(printable(bar.label)))
	line(b, fmt.Sprintf("s-row%d", bar.style), x(bar.Low), y, x(bar.High), y, 2)
	fmt.Fprintf(b, `<circle class="f-row%d" cx="%.1f" cy="%.1f" r="3.5"/>`, bar.style, x(bar.Median), y)
}

func line(b *strings.Builder, class string, x1, y1, x2, y2, width float64) {
	fmt.Fprintf(b, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke-width="%g"/>`, class, x1, y1, x2, y2, width)
}

// ratioStep is the distance of the marks, 1, 2 or 5 times a power of ten, so that
// there are five to ten of them.
func ratioStep(high float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(high/5)))
	for _, m := range []float64{1, 2, 5} {
		if high/(m*unit) <= 10 {
			return m * unit
		}
	}
	return 10 * unit
}
