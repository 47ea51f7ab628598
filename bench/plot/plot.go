package plot

import (
	"cmp"
	_ "embed"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
	"unicode"
)

// CSS is the style sheet of pictures, alone or in a page. It has no variables, because not
// every program that shows SVG knows them.
//
//go:embed plot.css
var CSS string

// Picture is several panels that share the axes.
type Picture struct {
	Title, XLabel, YLabel string
	// XTicks are at the horizontal values that points have, in ascending order.
	XTicks []Tick
	Panels []Panel
}

// Panel is a set of lines. Titles and names may be any text.
type Panel struct {
	Title string
	Lines []Line
}

// Line is one line, and how it looks.
type Line struct {
	Name string
	Look
	Points []Point
}

// Point has a duration in nanoseconds as Y.
type Point struct{ X, Y float64 }

// Colours is how many the style sheet has, as classes c0, c1 and so on. They are those of
// Okabe and Ito, which people with any kind of colour vision can tell apart, made darker or
// lighter for contrast with the background.
const Colours = 8

// Look is the colour of a line, and its number among the lines of that colour, which
// decides how it is dashed.
type Look struct{ Colour, Number int }

var dashes = [...]string{"none", "7 3", "2 2.5", "8 2.5 1.5 2.5", "1 4", "4 1.5"}

// Sizes of a picture.
const (
	panelWidth   = 400
	panelsAcross = 2 // in a file; more panels are on further lines
	panelHeight  = 230
	panelLeft    = 52 // what is around a panel
	panelRight   = 148
	panelAbove   = 46
	panelBelow   = 58
	panelWhole   = panelAbove + panelHeight + panelBelow
	labelHeight  = 13
	letterWidth  = 8  // about
	longName     = 20 // letters; what is longer is set narrower, to end with the panel
)

// SVG returns the picture as a complete file, with its title and a note below, on a light
// or dark background as the reader prefers.
func (p *Picture) SVG(note string) []byte {
	const above, below = 40, 30
	rows := (len(p.Panels) + panelsAcross - 1) / panelsAcross
	width := panelsAcross * panelWidth / max(1, min(len(p.Panels), panelsAcross))
	d := drawing{picture: p, axis: p.axis()}
	d.open("plot file", "", panelsAcross*panelWidth, rows*panelWhole+above+below)
	d.printf("<style>\n%s</style>\n<rect class=\"page\" width=\"100%%\" height=\"100%%\" rx=\"6\"/>\n", CSS)
	d.text("title", 12, 26, p.Title)
	d.text("dim", 12, float64(above+rows*panelWhole+below-12), note)
	for i, panel := range p.Panels {
		d.printf("<g transform=\"translate(%d,%d)\">\n", i%panelsAcross*width, above+i/panelsAcross*panelWhole)
		d.panel(panel, width)
		d.printf("</g>\n")
	}
	d.printf("</svg>\n")
	return []byte(d.String())
}

// Inline returns the panels as parts of a page, which has the style sheet. They are
// pictures of their own, so that a narrow page can put one below the other.
func (p *Picture) Inline() (list []string) {
	for _, panel := range p.Panels {
		d := drawing{picture: p, axis: p.axis()}
		d.open("plot", panel.Title, panelWidth, panelWhole)
		d.panel(panel, panelWidth)
		d.printf("</svg>\n")
		list = append(list, d.String())
	}
	return list
}

func (p *Picture) axis() Axis {
	low, high := math.Inf(1), 0.0
	for _, panel := range p.Panels {
		for _, line := range panel.Lines {
			for _, pt := range line.Points {
				low, high = min(low, pt.Y), max(high, pt.Y)
			}
		}
	}
	return NewAxis(low, high)
}

// drawing is SVG on its way.
type drawing struct {
	strings.Builder
	picture *Picture
	axis    Axis
}

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(d, format, args...) }

func (d *drawing) yLabel() string {
	if d.axis.Log {
		return d.picture.YLabel + ", logarithmic"
	}
	return d.picture.YLabel
}

// open describes the picture for a screen reader.
func (d *drawing) open(class, panel string, width, height int) {
	words := d.picture.Title + ": " + d.yLabel() + " over " + d.picture.XLabel
	if panel != "" {
		words += ", " + panel
	}
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" class="%s" role="img" aria-label="%s"`, class, escape(words))
	d.printf(` viewBox="0 0 %d %d" width="%[1]d" height="%[2]d">`+"\n", width, height)
}

func (d *drawing) text(class string, x, y float64, s string) {
	if s != "" {
		d.printf("<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", class, x, y, escape(s))
	}
}

// escape makes any text safe for XML, which cannot hold control characters.
func escape(s string) string {
	return html.EscapeString(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s))
}

// panel draws one panel with the room around it, which is whole pixels wide.
func (d *drawing) panel(panel Panel, whole int) {
	width := float64(whole - panelLeft - panelRight)
	ticks := d.picture.XTicks
	first, last := ticks[0].At-0.25, ticks[len(ticks)-1].At+0.25
	place := func(pt Point) Point {
		return Point{(pt.X - first) / (last - first) * width, panelHeight * (1 - d.axis.Share(pt.Y))}
	}
	d.printf("<g transform=\"translate(%d,%d)\">\n", panelLeft, panelAbove)
	d.text("head", 8-panelLeft, -28, panel.Title)
	d.text("dim", 8-panelLeft, -11, d.yLabel())
	d.text("dim mid", width/2, panelHeight+48, d.picture.XLabel)
	for _, t := range d.axis.Ticks {
		y := place(Point{0, t.At}).Y
		d.printf(`<path class="grid" d="M0 %.1fH%.1f"/>`, y, width)
		d.text("end", -6, y+4, t.Label)
	}
	end := math.Inf(-1) // of the last label in the upper line
	for _, t := range ticks {
		x, half, y := place(Point{t.At, 0}).X, float64(letterWidth*len(t.Label))/2, panelHeight+17.0
		if x-half < end {
			y += labelHeight
		} else {
			end = x + half
		}
		d.text("mid", x, y, t.Label)
	}
	var labels []label
	for _, line := range panel.Lines {
		line.Points = slices.Clone(line.Points)
		for i, pt := range line.Points {
			line.Points[i] = place(pt)
		}
		d.line(line)
		end := line.Points[len(line.Points)-1]
		labels = append(labels, label{line, end, end.Y})
	}
	d.labels(labels, width)
	d.printf("</g>\n")
}

func (d *drawing) line(l Line) {
	d.printf(`<g class="c%d"><path class="line" stroke-dasharray="%s" d="`, l.Colour, dashes[l.Number%len(dashes)])
	for i, pt := range l.Points {
		d.printf("%c%.1f %.1f", "ML"[min(i, 1)], pt.X, pt.Y)
	}
	d.printf(`"/><path class="full" d="`)
	for _, pt := range l.Points {
		d.printf("M%.1f %.1fm-2.6 0a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0-5.2 0z", pt.X, pt.Y)
	}
	d.printf("\"/></g>\n")
}

// label is the name of a line at its end, at the height y, as near as others allow.
type label struct {
	Line
	end Point
	y   float64
}

// spread keeps labels apart and within the limits. Pushing all down and pushing all up are
// averaged, so that a crowd stays around its middle.
func spread(labels []label, top, bottom float64) {
	slices.SortStableFunc(labels, func(a, b label) int { return cmp.Compare(a.y, b.y) })
	down, up := slices.Clone(labels), slices.Clone(labels)
	push(down, math.Inf(-1))
	pull(up, math.Inf(1))
	for i := range labels {
		labels[i].y = (down[i].y + up[i].y) / 2
	}
	push(labels, top-labelHeight)
	pull(labels, bottom+labelHeight)
}

func push(labels []label, above float64) {
	for i := range labels {
		above = max(labels[i].y, above+labelHeight)
		labels[i].y = above
	}
}

func pull(labels []label, below float64) {
	for i := range slices.Backward(labels) {
		below = min(labels[i].y, below-labelHeight)
		labels[i].y = below
	}
}

func (d *drawing) labels(labels []label, x float64) {
	spread(labels, 0, panelHeight)
	for _, l := range labels {
		d.printf(`<g class="c%d"><path class="lead" d="M%.1f %.1fL%.1f %.1f"/>`, l.Colour, l.end.X+4, l.end.Y, x+6, l.y)
		squeeze := ""
		if len(l.Name) > longName {
			squeeze = fmt.Sprintf(` textLength="%d" lengthAdjust="spacingAndGlyphs"`, panelRight-12)
		}
		d.printf("<text x=\"%.1f\" y=\"%.1f\"%s>%s</text></g>\n", x+9, l.y+4, squeeze, escape(l.Name))
	}
}
