package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"
)

//go:embed page.html.tmpl
var pageTemplate string

//go:embed page.css
var pageCSS string

var pageForm = template.Must(template.New("page").Funcs(template.FuncMap{
	"text": Printable,
	"time": func(d time.Duration) string { return formatNS(float64(d)) },
	"ns":   formatNS,
	"find": Group.find,
}).Parse(pageTemplate))

// page is what the template sees.
type page struct {
	*Report
	CSS   template.CSS
	Rows  []string
	Parts []part
	looks map[string]look
}

// part is a scenario on the page.
type part struct {
	*Section
	// Anchor is counted and not made from a name, because names from a file can be
	// anything, also twice the same once the odd characters are gone.
	Anchor string
	Tables []pageTable
	// Picture was made by this package's own code, which escapes names itself.
	Picture template.HTML
}

// pageTable is a table with what the template needs of the page.
type pageTable struct {
	table
	Page *page
	Name string
}

// Class is the style of a row's mark.
func (p *page) Class(row string) string { return p.looks[row].class() }

// WriteHTML writes one page with everything: machine, tables and pictures. The page
// needs no other file and no network, follows the reader's choice of light or
// dark, and runs no script.
func (r *Report) WriteHTML(w io.Writer) error {
	if err := r.Validate(); err != nil {
		return fmt.Errorf("write HTML: %w", err)
	}
	var buf bytes.Buffer
	if err := pageForm.Execute(&buf, r.page()); err != nil {
		return fmt.Errorf("write HTML: %w", err)
	}
	if _, err := buf.WriteTo(w); err != nil {
		return fmt.Errorf("write HTML: %w", err)
	}
	return nil
}

func (r *Report) page() *page {
	p := &page{Report: r, CSS: template.CSS(pageCSS + plotCSS), Rows: r.RowNames(), looks: r.looks()}
	for i, s := range r.Sections() {
		part := part{Section: s, Anchor: fmt.Sprintf("scenario-%d", i+1)}
		part.Tables = append(part.Tables, pageTable{s.results(), p, "Numbers"})
		if len(s.Ratios) > 0 {
			part.Tables = append(part.Tables, pageTable{s.ratios(), p, "Ratios to others"})
		}
		if drawing := s.picture(); drawing != nil {
			part.Picture = template.HTML(drawing.inline())
		}
		p.Parts = append(p.Parts, part)
	}
	return p
}
