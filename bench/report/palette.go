package report

import (
	"fmt"
	"image/color"
	"strings"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// rowStyle is how one row looks in every picture. Colours alone do not have to
// be told apart: each row has its own dashes and its own marker.
type rowStyle struct {
	light, dark string
	dashes      []vg.Length
	shape       draw.GlyphDrawer
}

// rowStyles are given to the rows in the order of the description, then to others. The
// colours are those of Okabe and Ito, which people with any kind of colour vision can
// tell apart, made darker or lighter for contrast with the background.
var rowStyles = []rowStyle{
	{"#0072b2", "#56b4e9", []vg.Length{7, 2.5, 1.5, 2.5}, draw.CircleGlyph{}},
	{"#c85200", "#f5914a", []vg.Length{7, 2.5}, draw.BoxGlyph{}},
	{"#00805d", "#35cf9d", nil, draw.PyramidGlyph{}},
	{"#c85200", "#f5914a", []vg.Length{4, 1.5}, frameGlyph},
	{"#00805d", "#35cf9d", []vg.Length{4, 1.5}, deltaGlyph},
	{"#c85200", "#f5914a", []vg.Length{9, 1.5}, frameGlyph},
	{"#00805d", "#35cf9d", []vg.Length{9, 1.5}, deltaGlyph},
	{"#a8387f", "#ea9fcb", []vg.Length{2.5, 2.5}, ringGlyph},
	{"#6b7079", "#b4b9c2", []vg.Length{1.2, 1.8}, crossGlyph},
	{"#a8387f", "#ea9fcb", []vg.Length{1.2, 1.8}, frameGlyph},
	{"#5b3fb0", "#b7a2ff", []vg.Length{4, 2, 1.5, 2, 1.5, 2}, deltaGlyph},
	{"#5b3fb0", "#b7a2ff", []vg.Length{8, 2}, plusGlyph},
	{"#8a6d00", "#f0e442", []vg.Length{10, 2.5}, frameGlyph},
	{"#1f2328", "#f0f3f6", []vg.Length{1, 3}, crossGlyph},
	{"#1f2328", "#f0f3f6", []vg.Length{1, 5}, plusGlyph},
	{"#0072b2", "#56b4e9", []vg.Length{1, 2.5}, plusGlyph},
	{"#c85200", "#f5914a", []vg.Length{1, 2.5}, plusGlyph},
	{"#c85200", "#f5914a", []vg.Length{1, 4}, crossGlyph},
	{"#00805d", "#35cf9d", []vg.Length{1, 2.5}, plusGlyph},
	{"#00805d", "#35cf9d", []vg.Length{1, 4}, crossGlyph},
	{"#5b3fb0", "#b7a2ff", []vg.Length{4, 2, 1.5, 2, 1.5, 2}, deltaGlyph},
	{"#1f2328", "#f0f3f6", []vg.Length{5, 4}, plusGlyph},
}

// styles gives each row of a report its place in rowStyles. Rows of the description
// always get the same, so that pictures of several reports agree.
func (r *Report) styles() map[string]int {
	d, styles := &r.Description, map[string]int{}
	next := len(d.Rows)
	for _, name := range r.rowNames() {
		rank := d.rowRank(name)
		if rank == len(d.Rows) {
			rank = next
			next++
		}
		styles[name] = rank % len(rowStyles)
	}
	return styles
}

// Pictures are drawn in the colours below, which mean something else than they
// look: the SVG code replaces each by a CSS class, and the style sheet decides,
// for light and for dark surroundings.
var (
	ink     = color.NRGBA{R: 1, G: 1, A: 255}
	inkSoft = color.NRGBA{R: 1, G: 2, A: 255}
	inkGrid = color.NRGBA{R: 1, G: 3, A: 255}
)

func rowColor(style int) color.Color {
	return color.NRGBA{R: 1, G: 4, B: uint8(style), A: 255}
}

// colorClasses maps the colours above, as vgsvg writes them, to class names.
var colorClasses = makeColorClasses()

func makeColorClasses() map[string]string {
	m := map[string]string{
		hexColor(ink):     "ink",
		hexColor(inkSoft): "soft",
		hexColor(inkGrid): "grid",
	}
	for i := range rowStyles {
		m[hexColor(rowColor(i))] = fmt.Sprintf("row%d", i)
	}
	return m
}

func hexColor(c color.Color) string {
	r, g, b, _ := c.RGBA()
	return fmt.Sprintf("#%02X%02X%02X", r>>8, g>>8, b>>8)
}

// The colours of text and background in both surroundings.
const (
	lightInk, lightPage = "#1f2328", "#ffffff"
	darkInk, darkPage   = "#e3e8ee", "#14181d"
)

// plotCSS is the part of the style sheet that pictures need, alone or in the page.
// Nothing in it is a variable, because not every program that shows SVG knows them.
func plotCSS() string {
	var b strings.Builder
	b.WriteString(`.s-ink{stroke:currentColor}.f-ink{fill:currentColor}
.s-soft{stroke:currentColor;stroke-opacity:.55}.f-soft{fill:currentColor;fill-opacity:.72}
.s-grid{stroke:currentColor;stroke-opacity:.13}.f-grid{fill:currentColor;fill-opacity:.13}
.plot{font-family:"Liberation Sans",Arial,Helvetica,sans-serif}
`)
	writeRowRules(&b, func(s rowStyle) string { return s.light })
	b.WriteString("@media (prefers-color-scheme:dark){\n")
	writeRowRules(&b, func(s rowStyle) string { return s.dark })
	b.WriteString("}\n")
	return b.String()
}

func writeRowRules(b *strings.Builder, pick func(rowStyle) string) {
	for i, s := range rowStyles {
		fmt.Fprintf(b, ".s-row%d{stroke:%s}.f-row%[1]d{fill:%[2]s}\n", i, pick(s))
	}
}
