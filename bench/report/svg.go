package report

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"io"
	"regexp"
	"strings"

	"gonum.org/v1/plot/vg/vgsvg"
)

// ErrNoPlot is wrapped when a report has no plot of the name asked for.
var ErrNoPlot = errors.New("no such plot")

// PlotNames are the names that [WriteSVG] knows for this report, in the order in
// which the plots stand on the HTML page: NAME-p50,
// NAME-p50-log, NAME-cpu, NAME-PARAMETERS-distribution and so on.
func (r *Report) PlotNames() []string {
	var names []string
	for _, f := range r.figures() {
		names = append(names, f.name)
	}
	return names
}

// figures are all plots of the report, each with a name of its own: parameters
// that differ in punctuation only would share one.
func (r *Report) figures() []figure {
	styles := r.styles()
	var figures []figure
	for _, s := range r.sections() {
		figures = append(figures, s.figures(styles).all()...)
	}
	taken := map[string]bool{}
	for i := range figures {
		name := figures[i].name
		for n := 2; taken[name]; n++ {
			name = fmt.Sprintf("%s-%d", figures[i].name, n)
		}
		taken[name] = true
		figures[i].name = name
	}
	return figures
}

// rowNames are all rows of the report, each once.
func (r *Report) rowNames() []string {
	results := make([]*Result, len(r.Results))
	for i := range r.Results {
		results[i] = &r.Results[i]
	}
	return r.Description.rowsOf(results)
}

// WriteSVG writes one plot of r as a complete SVG file with title, legend and
// the machine it came from. It brings its own background, light or dark as the
// reader prefers. An unknown plotName gives an error that wraps [ErrNoPlot] and
// lists the names there are.
func WriteSVG(w io.Writer, r *Report, plotName string) error {
	if err := r.Validate(); err != nil {
		return fmt.Errorf("write SVG: %w", err)
	}
	for _, f := range r.figures() {
		if f.name == plotName {
			return f.writeFile(w, r.Machine)
		}
	}
	return fmt.Errorf("write SVG: %w: %q, there are: %s", ErrNoPlot, plotName, strings.Join(r.PlotNames(), ", "))
}

func (f figure) writeFile(w io.Writer, m Machine) error {
	fr := frame{title: f.title, caption: m.String(), margin: margin}
	svg, err := f.svg(f.valueAxis(), fr, standaloneHead())
	if err != nil {
		return fmt.Errorf("write SVG: %w", err)
	}
	if _, err := io.WriteString(w, svg); err != nil {
		return fmt.Errorf("write SVG: %w", err)
	}
	return nil
}

// standaloneHead is what a picture needs that is not part of a page.
func standaloneHead() string {
	return fmt.Sprintf(`<style>
.plot{color:%s}.page{fill:%s}
%s@media (prefers-color-scheme:dark){.plot{color:%s}.page{fill:%s}}
</style>
<rect class="page" width="100%%" height="100%%" rx="6"/>
`, lightInk, lightPage, plotCSS(), darkInk, darkPage)
}

// svg draws the figure and returns one svg element. head is put in front of the
// drawing.
func (f figure) svg(axis valueAxis, fr frame, head string) (string, error) {
	canvas := f.draw(axis, fr)
	var buf bytes.Buffer
	if _, err := canvas.WriteTo(&buf); err != nil {
		return "", err
	}
	body, err := drawing(buf.String())
	if err != nil {
		return "", err
	}
	return f.openTag(canvas) + head + restyle(body), nil
}

func (f figure) openTag(canvas *vgsvg.Canvas) string {
	w, h := canvas.Size()
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" class="plot" role="img" aria-label="%s" viewBox="0 0 %.5g %.5g" width="%[2]g" height="%[3]g">`+"\n",
		html.EscapeString(printable(f.describe())), w.Points(), h.Points())
}

// describe is what a screen reader says. The numbers are
// in the tables.
func (f figure) describe() string {
	if len(f.panels) == 1 && f.panels[0].title != "" {
		return f.title + ", " + f.panels[0].title
	}
	return f.title
}

// drawing cuts off what vgsvg writes in front of the content: the XML prolog,
// which must not occur within a page, and the svg tag with its size in points.
func drawing(svg string) (string, error) {
	_, rest, ok := strings.Cut(svg, "<svg ")
	if !ok {
		return "", errors.New("the drawing has no svg element")
	}
	_, body, ok := strings.Cut(rest, ">\n")
	if !ok {
		return "", errors.New("the svg element does not end")
	}
	return body, nil
}

var styleAttribute = regexp.MustCompile(`\s+style="([^"]*)"`)

// restyle replaces the colours of every element by classes and leaves the choice
// of the font to the style sheet.
func restyle(body string) string {
	return styleAttribute.ReplaceAllStringFunc(body, func(attribute string) string {
		return classify(styleAttribute.FindStringSubmatch(attribute)[1])
	})
}

// classify sorts the declarations of one style attribute into classes and rest.
func classify(style string) string {
	var classes, rest []string
	for declaration := range strings.SplitSeq(style, ";") {
		property, value, _ := strings.Cut(declaration, ":")
		if name, ok := colorClasses[value]; ok {
			classes = append(classes, property[:1]+"-"+name)
			continue
		}
		if !fontProperty(property) {
			rest = append(rest, declaration)
		}
	}
	return attribute("class", strings.Join(classes, " ")) + attribute("style", strings.Join(rest, ";"))
}

func fontProperty(property string) bool {
	return strings.HasPrefix(property, "font-") && property != "font-size"
}

func attribute(name, value string) string {
	if value == "" {
		return ""
	}
	return fmt.Sprintf(" %s=%q", name, value)
}
