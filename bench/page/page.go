// Package page shows a report as one page of HTML: the verdict, a picture of the main
// question, a table for each scenario, the machine and the data. The page needs no other
// file and no network, follows the reader's choice of light or dark, and runs no script.
//
// The same report always gives the same bytes.
package page

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/aioloop/aioloop/bench/plot"
	"github.com/aioloop/aioloop/bench/report"
)

//go:embed page.html.tmpl
var pageTemplate string

//go:embed page.css
var pageCSS string

var pageForm = template.Must(template.New("page").Funcs(template.FuncMap{
	"text": report.Printable,
	"name": breakable,
	"time": func(d time.Duration) string { return report.Short(float64(d)) },
	"ns":   report.Short,
	"cpu":  cpuOf,
	"p99":  p99Of,
	"lead": func(line string) string { return line[:leadLength(line)] },
	"rest": func(line string) string { return line[leadLength(line):] },
	"variant": func(res *report.Result, of string) string {
		return strings.TrimSpace(strings.TrimPrefix(res.Backend, of))
	},
}).Parse(pageTemplate))

// nothing stands where there is no number.
const nothing = "–"

func p99Of(res *report.Result) string {
	if res.N < report.SamplesP99 {
		return nothing
	}
	return report.Short(float64(res.P99))
}

func cpuOf(res *report.Result) string {
	if res.CPUNSPerOp == 0 {
		return nothing
	}
	return report.Short(res.CPUNSPerOp)
}

// leadLength is that of what a line is about, up to a colon.
func leadLength(line string) int { return strings.Index(line, ": ") + 1 }

// breakable is the name of a row that a narrow column may break.
func breakable(row string) template.HTML {
	return template.HTML(strings.ReplaceAll(template.HTMLEscapeString(report.Printable(row)), "+", "+<wbr>"))
}

// mostPictures is how many the page has at most, also of a report with odd parameters.
const mostPictures = 20

// page is what the template sees.
type page struct {
	*report.Report
	CSS   template.CSS
	Chart *chart
	Parts []part
	// Tally counts the outcomes of all settings.
	Tally tally
	// Data are the results as JSON, compressed, for a reader who has only the page.
	Data template.URL
}

// part is a scenario on the page.
type part struct {
	*report.Section
	// Anchor is counted and not made from a name, because names from a file can be
	// anything, also twice the same once the odd characters are gone.
	Anchor  string
	Summary *summary
	// Pictures were made by this package's own code, which escapes names itself.
	Pictures []template.HTML
}

// Cells are the numbers of a result.
func (p part) Cells(g report.Group, res *report.Result) (cells []string) {
	for _, c := range p.Columns {
		cells = append(cells, c.Cell(g, res))
	}
	return cells
}

// Write writes the page of a report that is valid.
func Write(w io.Writer, r *report.Report) error {
	p, err := newPage(r)
	if err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	var buf bytes.Buffer
	if err := pageForm.Execute(&buf, p); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	if _, err := buf.WriteTo(w); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

func newPage(r *report.Report) (*page, error) {
	data, err := dataURL(r)
	if err != nil {
		return nil, err
	}
	sections, pictures := r.Sections(), mostPictures
	p := &page{Report: r, CSS: template.CSS(pageCSS + plot.CSS), Chart: newChart(r), Data: data}
	for i, s := range sections {
		part := part{Section: s, Anchor: fmt.Sprintf("scenario-%d", i+1), Summary: summarize(&r.Description, s)}
		if part.Summary != nil {
			for outcome, n := range part.Summary.Tally {
				p.Tally[outcome] += n
			}
		}
		if picture := s.Picture(); picture != nil && len(picture.Panels) <= pictures {
			pictures -= len(picture.Panels)
			for _, svg := range picture.Inline() {
				part.Pictures = append(part.Pictures, template.HTML(svg))
			}
		}
		p.Parts = append(p.Parts, part)
	}
	return p, nil
}

// dataURL refuses what is no valid report, as WriteJSON does.
func dataURL(r *report.Report) (template.URL, error) {
	sorted := *r
	sorted.Results = nil
	for _, s := range r.Sections() {
		for _, g := range s.Groups {
			for _, res := range g.Results {
				sorted.Results = append(sorted.Results, *res)
			}
		}
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if err := errors.Join(sorted.WriteJSON(z), z.Close()); err != nil {
		return "", err
	}
	return template.URL("data:application/gzip;base64," + base64.StdEncoding.EncodeToString(packed.Bytes())), nil
}
