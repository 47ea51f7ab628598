package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"strings"
	"text/template"
)

//go:embed performance.md.tmpl
var performanceTemplate string

var performancePage = template.Must(template.New("performance").Parse(performanceTemplate))

// Performance is a report as a page of Markdown, and the files it shows or links to.
type Performance struct {
	Page []byte
	// Files are the pictures and the complete tables by name, without a folder.
	Files map[string][]byte
	// Score says in one sentence how many comparisons were won.
	Score string
}

// performanceData is what the template sees.
type performanceData struct {
	Name, Version, Folder, Command string
	Machine, Rounds, Score         string
	Quick                          bool
	Sections                       []performanceSection
	Defeats                        comparisonList
}

type performanceSection struct {
	Name, About  string
	Label, Times string
	Plots        []performancePlot
}

type performancePlot struct{ Title, File string }

// Performance makes the page: machine, one table a scenario, and where others are
// faster. folder is where
// the page expects the files, relative to itself.
func (r *Report) Performance(folder string) (*Performance, error) {
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("write performance page: %w", err)
	}
	p := &Performance{Files: map[string][]byte{}}
	data, err := r.performanceData(folder, p.Files)
	if err != nil {
		return nil, fmt.Errorf("write performance page: %w", err)
	}
	var table, page bytes.Buffer
	if err := r.WriteTable(&table); err != nil {
		return nil, err
	}
	p.Files["table.txt"] = table.Bytes()
	if err := performancePage.Execute(&page, data); err != nil {
		return nil, fmt.Errorf("write performance page: %w", err)
	}
	p.Score = data.Score
	p.Page = tidy(page.Bytes())
	return p, nil
}

// tidy leaves one empty line where the template made several.
func tidy(page []byte) []byte {
	for bytes.Contains(page, []byte("\n\n\n")) {
		page = bytes.ReplaceAll(page, []byte("\n\n\n"), []byte("\n\n"))
	}
	return append(bytes.TrimSpace(page), '\n')
}

func (r *Report) performanceData(folder string, files map[string][]byte) (*performanceData, error) {
	sections := r.sections()
	list := comparisons(sections)
	data := &performanceData{
		Name: r.runName(), Version: r.runVersion(), Folder: folder, Command: r.runCommand(),
		Machine: markdown(r.Machine.String()), Rounds: r.roundsInWords(), Score: score(list),
		Quick:   r.Run != nil && r.Run.Quick,
		Defeats: listDefeats(list),
	}
	for _, s := range sections {
		ps, err := r.performanceSection(s, files)
		if err != nil {
			return nil, fmt.Errorf("scenario %q: %w", s.Name, err)
		}
		data.Sections = append(data.Sections, ps)
	}
	return data, nil
}

func (r *Report) runName() string {
	if r.Run != nil && r.Run.Name != "" {
		return markdown(r.Run.Name)
	}
	return markdown(joinNonEmpty(", ", r.Machine.Date.Format("2006-01-02 15:04 MST"), prefixed("Linux ", r.Machine.Kernel), r.Machine.CPU))
}

func (r *Report) runVersion() string {
	if r.Run != nil && r.Run.Version != "" {
		return markdown(r.Run.Version)
	}
	return "unknown"
}

// runCommand is what repeats the run, with the variables of the Makefile.
func (r *Report) runCommand() string {
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
	if len(rest) > 0 {
		command += " BENCHFLAGS='" + strings.Join(rest, " ") + "'"
	}
	return printable(command)
}

func (r *Report) roundsInWords() string {
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

// drawn are the rows of pictures: too many lines tell nothing.
func drawn(row Row) bool { return row.Kind != Floor || row.Reference != "" }
