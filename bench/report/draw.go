package report

import (
	"image/color"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Sizes of a picture in points. One point becomes one unit of the SVG.
const (
	panelWidth   = 470
	panelHeight  = 260
	panelGap     = 18
	margin       = 10
	titleSize    = 15
	captionSize  = 9
	captionGap   = 6
	labelSize    = 11
	legendSample = 28
	legendGap    = 12
)

// frame is what stands around the panels of a picture.
type frame struct {
	title, caption string
	margin         vg.Length
}

// layout is a picture on its way: the canvas, and the part of it that is free.
type layout struct {
	draw.Canvas
	figure figure
	frame  frame
}

// draw renders the figure with the given axis, which panels of a figure that was
// split have in common.
func (f figure) draw(axis valueAxis, fr frame) *vgsvg.Canvas {
	n := vg.Length(len(f.panels))
	width := n*panelWidth + (n-1)*panelGap
	above := textBlock(fr.title, titleSize, width).height() + f.legendHeight(width) + f.panelTitleHeight()
	below := captionHeight(fr.caption, width)
	canvas := vgsvg.New(width+2*fr.margin, above+panelHeight+below+2*fr.margin)
	l := layout{Canvas: draw.Crop(draw.New(canvas), fr.margin, -fr.margin, fr.margin, -fr.margin), figure: f, frame: fr}
	l.drawTitle()
	l.drawLegend()
	l.drawCaption()
	l.drawPanels(axis)
	return canvas
}

func (l *layout) drawTitle() {
	b := textBlock(l.frame.title, titleSize, l.Size().X)
	b.draw(l.Canvas, ink, l.Max.Y)
	l.Max.Y -= b.height()
}

func (l *layout) drawCaption() {
	b := textBlock(l.frame.caption, captionSize, l.Size().X)
	b.draw(l.Canvas, inkSoft, l.Min.Y+b.height())
	l.Min.Y += captionHeight(l.frame.caption, l.Size().X)
}

// captionHeight includes the space that keeps a caption off the label of the axis.
func captionHeight(caption string, width vg.Length) vg.Length {
	if h := textBlock(caption, captionSize, width).height(); h > 0 {
		return h + captionGap
	}
	return 0
}

func (l *layout) drawPanels(axis valueAxis) {
	x := l.Min.X
	for _, p := range l.figure.panels {
		c := l.Canvas
		c.Min.X, c.Max.X = x, x+panelWidth
		l.drawPanel(c, p, axis)
		x += panelWidth + panelGap
	}
}

func (l *layout) drawPanel(c draw.Canvas, p panel, axis valueAxis) {
	if h := l.figure.panelTitleHeight(); h > 0 {
		sty := textStyle(labelSize, ink)
		sty.XAlign = text.XCenter
		c.FillText(sty, vg.Point{X: c.Center().X, Y: c.Max.Y - labelSize}, p.title)
		c.Max.Y -= h
	}
	l.figure.plot(p, axis).Draw(c)
}

// plot turns one panel into a gonum plot.
func (f figure) plot(p panel, axis valueAxis) *plot.Plot {
	pl := plot.New()
	pl.BackgroundColor = nil
	styleAxis(&pl.X, f.xLabel)
	styleAxis(&pl.Y, f.yAxisLabel(axis))
	pl.X.Tick.Marker = f.xTicks
	pl.Y.Tick.Marker = axis.ticks
	pl.Add(&plotter.Grid{
		Vertical:   draw.LineStyle{Color: inkGrid, Width: 0.7},
		Horizontal: draw.LineStyle{Color: inkGrid, Width: 0.7},
	})
	for _, c := range p.curves {
		pl.Add(c.plotters(axis)...)
	}
	pl.X.Min, pl.X.Max = f.xMin, f.xMax
	pl.Y.Min, pl.Y.Max = axis.min, axis.max
	return pl
}

func (f figure) yAxisLabel(axis valueAxis) string {
	if f.log {
		return f.yLabel + ", logarithmic"
	}
	return f.yLabel + " (" + axis.unit + ")"
}

func styleAxis(a *plot.Axis, label string) {
	a.Padding = 0
	a.Color = inkSoft
	a.Width = 0.8
	a.Label.Text = label
	a.Label.Padding = 4
	a.Label.TextStyle.Font = sans(labelSize)
	a.Label.TextStyle.Color = ink
	a.Tick.Label.Font = sans(labelSize - 1)
	a.Tick.Label.Color = ink
	a.Tick.LineStyle = draw.LineStyle{Color: inkSoft, Width: 0.6}
	a.Tick.Length = 4
}

// plotters are the line and the markers of a curve.
func (c curve) plotters(axis valueAxis) []plot.Plotter {
	line := &plotter.Line{XYs: axis.placeAll(c.points), LineStyle: c.lineStyle()}
	marks := &plotter.Scatter{XYs: axis.placeAll(c.marks), GlyphStyle: c.glyphStyle()}
	return []plot.Plotter{unpadded{line}, unpadded{marks}}
}

// unpadded hides from gonum how large the markers are. It would move the zero of the
// axis away from the line that the reader takes for zero.
type unpadded struct{ plot.Plotter }

func (a valueAxis) placeAll(points plotter.XYs) plotter.XYs {
	placed := make(plotter.XYs, len(points))
	for i, p := range points {
		placed[i] = plotter.XY{X: p.X, Y: a.place(p.Y)}
	}
	return placed
}

func (c curve) lineStyle() draw.LineStyle {
	return draw.LineStyle{Color: rowColor(c.style), Width: 1.8, Dashes: rowStyles[c.style].dashes}
}

func (c curve) glyphStyle() draw.GlyphStyle {
	return draw.GlyphStyle{Color: rowColor(c.style), Radius: 3.4, Shape: rowStyles[c.style].shape}
}

func sans(size vg.Length) font.Font {
	return font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, size)
}

func textStyle(size vg.Length, c color.Color) text.Style {
	return text.Style{Color: c, Font: sans(size), Handler: plot.DefaultTextHandler}
}

// block is text broken into lines that fit a width.
type block struct {
	lines []string
	size  vg.Length
}

func textBlock(s string, size, width vg.Length) block {
	b := block{size: size}
	sty := textStyle(size, ink)
	for _, word := range strings.Fields(printable(s)) {
		last := len(b.lines) - 1
		if last >= 0 && sty.Width(b.lines[last]+" "+word) <= width {
			b.lines[last] += " " + word
			continue
		}
		b.lines = append(b.lines, word)
	}
	return b
}

func (b block) height() vg.Length {
	if len(b.lines) == 0 {
		return 0
	}
	return b.lineHeight()*vg.Length(len(b.lines)) + b.size*0.6
}

func (b block) lineHeight() vg.Length { return b.size * 1.35 }

func (b block) draw(c draw.Canvas, clr color.Color, top vg.Length) {
	for i, line := range b.lines {
		y := top - b.lineHeight()*vg.Length(i) - b.size
		c.FillText(textStyle(b.size, clr), vg.Point{X: c.Min.X, Y: y}, line)
	}
}
