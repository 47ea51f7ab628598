package report

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// Sizes of a picture.
const (
	panelsWidth  = 830 // of all panels side by side
	panelsAcross = 3   // more panels are on further lines
	panelHeight  = 230
	panelLeft    = 56 // what is around a panel
	panelRight   = 14
	panelAbove   = 46
	panelBelow   = 44
	legendWidth  = 170
	legendLine   = 17
)

// SVG returns the picture of the scenario as a complete file, with its title and the
// machine that the results come from, on a light or dark background as the reader
// prefers. It is nil if there is nothing to draw.
func (s *Section) SVG() []byte {
	p := s.picture()
	if p == nil {
		return nil
	}
	const above, below = 40, 30
	var d drawing
	d.open("plot file", p, above+below)
	d.printf("<style>\n%s</style>\n<rect class=\"page\" width=\"100%%\" height=\"100%%\" rx=\"6\"/>\n", plotCSS)
	d.text("title", 12, 26, p.title)
	d.text("soft", 12, float64(above+p.height()+below-12), s.report.Machine.String())
	d.printf("<g transform=\"translate(0,%d)\">\n", above)
	d.picture(p)
	d.printf("</g>\n</svg>\n")
	return []byte(d.String())
}

// inline is the picture as a part of the page, which has its title and style sheet.
func (p *picture) inline() string {
	var d drawing
	d.open("plot", p, 0)
	d.picture(p)
	d.printf("</svg>\n")
	return d.String()
}

func (p *picture) height() int {
	lines := (len(p.panels) + panelsAcross - 1) / panelsAcross
	return max(lines*(panelAbove+panelHeight+panelBelow), panelAbove+legendLine*len(p.rows))
}

// drawing is SVG on its way.
type drawing struct{ strings.Builder }

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(d, format, args...) }

// open describes the picture for a screen reader. The numbers are in the tables.
func (d *drawing) open(class string, p *picture, more int) {
	words := Printable(p.title + ": " + p.yLabel + " over " + p.xLabel)
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" class="%s" role="img" aria-label="%s"`, class, html.EscapeString(words))
	d.printf(` viewBox="0 0 %d %d" width="%[1]d" height="%[2]d">`+"\n", panelsWidth+legendWidth, p.height()+more)
}

func (d *drawing) text(class string, x, y float64, s string) {
	if s != "" {
		d.printf("<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", class, x, y, html.EscapeString(Printable(s)))
	}
}

func (d *drawing) picture(p *picture) {
	width := panelsWidth / min(len(p.panels), panelsAcross)
	for i, panel := range p.panels {
		line := i / panelsAcross * (panelAbove + panelHeight + panelBelow)
		d.printf("<g transform=\"translate(%d,%d)\">\n", i%panelsAcross*width+panelLeft, line+panelAbove)
		d.panel(p, panel, float64(width-panelLeft-panelRight))
		d.printf("</g>\n")
	}
	for i, row := range p.rows {
		y := float64(panelAbove + legendLine*i)
		d.curve(p.looks[row], curve{[]point{{panelsWidth, y}, {panelsWidth + 32, y}}, []point{{panelsWidth + 16, y}}})
		d.text("start", panelsWidth+38, y+4, row)
	}
}

func (d *drawing) panel(p *picture, panel *panel, width float64) {
	toCanvas := func(points []point) []point {
		placed := slices.Clone(points)
		for i, pt := range points {
			placed[i] = point{(pt.x - p.xMin) / (p.xMax - p.xMin) * width, panelHeight * (1 - p.y.share(pt.y))}
		}
		return placed
	}
	d.text("mid", width/2, -26, panel.title)
	d.text("start", 8-panelLeft, -10, p.yLabel)
	d.text("mid", width/2, panelHeight+36, p.xLabel)
	for _, t := range p.y.ticks {
		y := toCanvas([]point{{p.xMin, t.at}})[0].y
		d.printf(`<path class="grid" d="M0 %.1fH%.1f"/>`, y, width)
		d.text("end", -6, y+4, t.label)
	}
	for _, t := range p.xTicks {
		x := toCanvas([]point{{t.at, 0}})[0].x
		d.printf(`<path class="grid" d="M%.1f 0V%d"/>`, x, panelHeight)
		d.text("mid", x, panelHeight+17, t.label)
	}
	for _, row := range p.rows {
		if c, ok := panel.curves[row]; ok {
			d.curve(p.looks[row], curve{toCanvas(c.line), toCanvas(c.marks)})
		}
	}
}

// curve draws a line, and a marker at each of the marks.
func (d *drawing) curve(l look, c curve) {
	d.printf(`<g class="%s"><path class="line" stroke-dasharray="%s" d="`, l.class(), l.dashes())
	for i, pt := range c.line {
		d.printf("%c%.1f %.1f", "ML"[min(i, 1)], pt.x, pt.y)
	}
	class, path := l.marker()
	d.printf(`"/><path class="%s" d="`, class)
	for _, pt := range c.marks {
		d.printf("M%.1f %.1f%s", pt.x, pt.y, path)
	}
	d.printf("\"/></g>\n")
}
