package report

import (
	"math"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The markers of gonum that consist of lines have hairlines, which get lost on a
// screen. These have the weight of the curves.

const glyphStroke = 1.4

// glyph draws a marker from strokes. Each stroke is a list of corners on the circle
// around the point, in eighths of a full turn.
type glyph [][]float64

var (
	crossGlyph = glyph{{1, 5}, {3, 7}}
	plusGlyph  = glyph{{0, 4}, {2, 6}}
	frameGlyph = glyph{{1, 3, 5, 7, 1}}
	deltaGlyph = glyph{{6, 6 + 8./3, 6 + 16./3, 6}}
	ringGlyph  = glyph{{0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7, 7.5, 8}}
)

// DrawGlyph implements draw.GlyphDrawer.
func (g glyph) DrawGlyph(c *draw.Canvas, sty draw.GlyphStyle, pt vg.Point) {
	line := draw.LineStyle{Color: sty.Color, Width: glyphStroke}
	for _, corners := range g {
		points := make([]vg.Point, len(corners))
		for i, eighth := range corners {
			sin, cos := math.Sincos(eighth * math.Pi / 4)
			points[i] = vg.Point{X: pt.X + sty.Radius*vg.Length(cos), Y: pt.Y + sty.Radius*vg.Length(sin)}
		}
		c.StrokeLines(line, points)
	}
}
