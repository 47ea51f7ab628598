package report

import (
	"cmp"
	"slices"

	"gonum.org/v1/plot/vg"
)

// The legend stands above the panels, in lines as long as the picture is wide,
// because gonum's own lies on top of the data.

const legendLine = labelSize * 1.7

// legendEntry is a row of the legend and where it begins.
type legendEntry struct {
	curve
	x    vg.Length
	line int
}

// legend places one entry for each row that occurs in any panel.
func (f figure) legend(width vg.Length) []legendEntry {
	sty := textStyle(labelSize, ink)
	var entries []legendEntry
	x, line := vg.Length(0), 0
	for _, c := range f.legendCurves() {
		w := legendSample + 5 + sty.Width(printable(c.row))
		if x > 0 && x+w > width {
			x, line = 0, line+1
		}
		entries = append(entries, legendEntry{c, x, line})
		x += w + legendGap
	}
	return entries
}

func (f figure) legendCurves() []curve {
	var curves []curve
	for _, p := range f.panels {
		for _, c := range p.curves {
			if !slices.ContainsFunc(curves, func(have curve) bool { return have.row == c.row }) {
				curves = append(curves, c)
			}
		}
	}
	slices.SortFunc(curves, func(a, b curve) int { return cmp.Or(cmp.Compare(a.style, b.style), cmp.Compare(a.row, b.row)) })
	return curves
}

func (f figure) legendHeight(width vg.Length) vg.Length {
	entries := f.legend(width)
	if len(entries) == 0 {
		return 0
	}
	return legendLine*vg.Length(entries[len(entries)-1].line+1) + 6
}

func (f figure) panelTitleHeight() vg.Length {
	if len(f.panels) > 1 || f.panels[0].title != "" {
		return labelSize * 1.8
	}
	return 0
}

func (l *layout) drawLegend() {
	for _, e := range l.figure.legend(l.Size().X) {
		x := l.Min.X + e.x
		y := l.Max.Y - legendLine*vg.Length(e.line) - labelSize
		l.drawSample(e.curve, x, y+labelSize*0.35)
		l.FillText(textStyle(labelSize, ink), vg.Point{X: x + legendSample + 5, Y: y}, printable(e.row))
	}
	l.Max.Y -= l.figure.legendHeight(l.Size().X)
}

func (l *layout) drawSample(c curve, x, y vg.Length) {
	l.StrokeLine2(c.lineStyle(), x, y, x+legendSample, y)
	l.DrawGlyphNoClip(c.glyphStyle(), vg.Point{X: x + legendSample/2, Y: y})
}
