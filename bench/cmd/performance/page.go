package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"github.com/aioloop/aioloop/bench/report"
)

//go:embed performance.md.tmpl
var performanceTemplate string

var pageForm = template.Must(template.New("performance").Parse(performanceTemplate))

// page is a report as a page of Markdown, and the files it shows or links to.
type page struct {
	text []byte
	// files are the pictures and the complete tables by name, without a folder.
	files map[string][]byte
	// score says in one sentence how many comparisons were won.
	score string
}

// pageData is what the template sees.
type pageData struct {
	Name, Version, Folder, Command string
	Machine, Rounds, Score         string
	Quick                          bool
	Sections                       []pageSection
	Defeats                        comparisonList
}

type pageSection struct {
	Name, About        string
	Label, Times       string
	PictureOf, Picture string // its text and its file, if there is one
}

// newPage makes the page: machine, one table a scenario, and where others are faster.
// folder is where the page expects the files, relative to itself.
func newPage(r *report.Report, folder string) (*page, error) {
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("write performance page: %w", err)
	}
	p := &page{files: map[string][]byte{}}
	data := p.data(r, folder)
	var table, text bytes.Buffer
	if err := r.WriteTable(&table); err != nil {
		return nil, err
	}
	p.files["table.txt"] = table.Bytes()
	if err := pageForm.Execute(&text, data); err != nil {
		return nil, fmt.Errorf("write performance page: %w", err)
	}
	p.score, p.text = data.Score, tidy(text.Bytes())
	return p, nil
}

// tidy leaves one empty line where the template made several.
func tidy(page []byte) []byte {
	for bytes.Contains(page, []byte("\n\n\n")) {
		page = bytes.ReplaceAll(page, []byte("\n\n\n"), []byte("\n\n"))
	}
	return append(bytes.TrimSpace(page), '\n')
}

func (p *page) data(r *report.Report, folder string) *pageData {
	list := comparisons(r)
	data := &pageData{
		Name: runName(r), Version: runVersion(r), Folder: folder, Command: runCommand(r),
		Machine: markdown(r.Machine.String()), Rounds: roundsInWords(r), Score: score(list),
		Quick:   r.Run != nil && r.Run.Quick,
		Defeats: listDefeats(list),
	}
	for _, s := range r.Sections() {
		g := s.Shown()[0]
		ps := pageSection{Name: markdown(s.Name), About: s.About, Label: markdown(g.Label), Times: timesTable(r, s, g)}
		if svg := s.SVG(); svg != nil && s.Sweep != "" {
			ps.PictureOf, ps.Picture = markdown(s.Name+": latency over "+s.SweepLabel), slug(s.Name)+".svg"
			p.files[ps.Picture] = svg
		}
		data.Sections = append(data.Sections, ps)
	}
	return data
}

// slug makes a name for a file out of words: lower case letters, digits and
// single hyphens.
func slug(words string) string {
	keep := func(r rune) bool { return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' }
	parts := strings.FieldsFunc(strings.ToLower(words), func(r rune) bool { return !keep(r) })
	return strings.Join(parts, "-")
}

// timesTable leaves out the floors.
func timesTable(r *report.Report, s *report.Section, g report.Group) string {
	t := mdTable{words: 1, heads: []string{""}}
	columns := slices.DeleteFunc(slices.Clone(s.Columns), func(c report.Column) bool {
		return slices.Contains([]string{"n", "allocs/op", "ratio"}, c.Head) || isEmpty(c, g)
	})
	for _, c := range columns {
		t.heads = append(t.heads, markdown(c.Head))
	}
	for _, res := range g.Results {
		row := r.Description.Row(res.Backend)
		if row.Kind == report.Floor {
			continue
		}
		cells := []string{rowName(row)}
		for _, c := range columns {
			cell := c.Cell(g, res)
			if c.Head == "p50" && g.Leads(res) {
				cell = "**" + cell + "**"
			}
			cells = append(cells, cell)
		}
		t.add(cells...)
	}
	return t.String()
}

// isEmpty tells a column that has nothing for any row.
func isEmpty(c report.Column, g report.Group) bool {
	return !slices.ContainsFunc(g.Results, func(res *report.Result) bool { return c.Cell(g, res) != nothing })
}

func runName(r *report.Report) string {
	if r.Run != nil && r.Run.Name != "" {
		return markdown(r.Run.Name)
	}
	return markdown(r.Machine.Date.Format("2006-01-02 15:04 MST") + ", Linux " + r.Machine.Kernel + ", " + r.Machine.CPU)
}

func runVersion(r *report.Report) string {
	if r.Run != nil && r.Run.Version != "" {
		return markdown(r.Run.Version)
	}
	return "unknown"
}

// runCommand is what repeats the run, with the variables of the Makefile.
func runCommand(r *report.Report) string {
	command := "make performance"
	if r.Run == nil {
		return command
	}
	variables := map[string]string{"-backend": "BACKEND", "-scenario": "SCENARIO"}
	var rest []string
	for i := 0; i < len(r.Run.Options); i++ {
		option := r.Run.Options[i]
		switch name := variables[option]; {
		case option == "-quick":
			command += " QUICK=1"
		case name != "" && i+1 < len(r.Run.Options):
			i++
			command += " " + name + "='" + r.Run.Options[i] + "'"
		default:
			rest = append(rest, option)
		}
	}
	if len(rest) > 0 { // make has no variable for those
		command = "go run ./bench/cmd/aiobench " + strings.Join(r.Run.Options, " ") + " -out bench/out && make performance RUN=bench/out/results.json"
	}
	return report.Printable(command)
}

func roundsInWords(r *report.Report) string {
	fewest, most := 0, 0
	for i := range r.Results {
		n := len(r.Results[i].Rounds)
		most = max(most, n)
		if n > 0 && (fewest == 0 || n < fewest) {
			fewest = n
		}
	}
	if most == 0 {
		return ""
	}
	if fewest == most {
		return "in " + countOf(most, "round", "rounds")
	}
	return fmt.Sprintf("in %d to %d rounds", fewest, most)
}
