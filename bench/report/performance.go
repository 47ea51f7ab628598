package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
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
	// Score says in one sentence how many targets were reached.
	Score string
}

// performanceData is what the template sees.
type performanceData struct {
	Name, Version, Folder, Command string
	Rounds, Parity, Spread         string
	Quick                          bool
	Facts                          []fact
	Sections                       []performanceSection
	Score, Yardstick               string
	Missed, Reached, Unmeasured    string
	Matrix                         string

	Defeats, Victories, Parities, Prices comparisonList
}

type performanceSection struct {
	Name, About, Others string
	Groups              []performanceGroup
	Plots               []performancePlot
	Notes               []string
}

// performanceGroup is the tables of one setting.
type performanceGroup struct{ Label, Times, Ratios string }

type performancePlot struct{ Title, File string }

// Performance makes the page: machine, tables at a few settings of each scenario, what
// the project has reached and missed, and where others are better. folder is where
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
	verdicts := judge(targets, sections)
	data := &performanceData{
		Name: r.runName(), Version: r.runVersion(), Folder: folder, Command: r.runCommand(),
		Rounds: r.roundsInWords(), Parity: fmt.Sprintf("%.0f %%", (parity-1)*100),
		Quick: r.Run != nil && r.Run.Quick,
		Facts: r.runFacts(),
		Score: score(verdicts), Yardstick: yardstickInWords(sections),
		Missed: missedTable(verdicts), Reached: reachedTable(verdicts), Unmeasured: unmeasuredTable(verdicts), Matrix: matrix(sections),
	}
	list := comparisons(sections)
	data.Spread = spreadInWords(list)
	data.listAll(list)
	for _, s := range sections {
		ps, err := r.performanceSection(s, files)
		if err != nil {
			return nil, fmt.Errorf("scenario %q: %w", s.name, err)
		}
		data.Sections = append(data.Sections, ps)
	}
	return data, nil
}

func (data *performanceData) listAll(list []comparison) {
	median := func(d comparison) float64 { return d.Median }
	data.Defeats = listComparisons(list, "defeat", "defeats", comparison.lost, median)
	data.Victories = listComparisons(list, "victory", "victories", comparison.won, func(d comparison) float64 { return -d.Median })
	data.Parities = listComparisons(list, "draw", "draws", comparison.even, median)
	data.Prices = listComparisons(list, "comparison", "comparisons", func(d comparison) bool { return d.price() > parity }, comparison.price)
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

// runFacts are the machine and how the run was made.
func (r *Report) runFacts() []fact {
	facts := []fact{{"Run", r.runName()}, {"Version", r.runVersion()}}
	if r.Run != nil {
		facts = append(facts, fact{"Options of aiobench", markdown(joinNonEmpty(" ", append([]string{standardOptions(r.Run)}, r.Run.Options...)...))})
		if r.Run.Took > 0 {
			facts = append(facts, fact{"It took", r.Run.Took.String()})
		}
	}
	for _, f := range r.Machine.facts() {
		facts = append(facts, fact{f.Name, markdown(f.Value)})
	}
	if r.Machine.Virtualization == "" {
		facts = append(facts, fact{"Virtualization", "none was found"})
	}
	if r.Machine.Governor == "" {
		facts = append(facts, fact{"Governor", "the kernel shows none"})
	}
	return facts
}

func standardOptions(run *Run) string {
	if len(run.Options) == 0 {
		return "none: full size, everything that can run"
	}
	return ""
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
	if fewest == most {
		return "in " + countOf(most, "round", "rounds")
	}
	return fmt.Sprintf("in %d to %d rounds", fewest, most)
}

// spreadInWords says how much the rounds of one comparison differ, which is how much a
// reader should trust a ratio. It is empty if there is nothing to say it with.
func spreadInWords(list []comparison) string {
	var spreads []float64
	for _, d := range list {
		if d.Rounds > 1 && d.Low > 0 {
			spreads = append(spreads, d.High/d.Low)
		}
	}
	if len(spreads) == 0 {
		return ""
	}
	slices.Sort(spreads)
	return fmt.Sprintf("In half of the\ncomparisons below, the highest ratio of the rounds is no more than %s times the lowest.", formatTimes(medianOf(spreads)))
}

func yardstickInWords(sections []section) string {
	trip := futexTrip(sections)
	if trip <= 0 {
		return "Limits in time are for the machine where they were set; this run has no futex row to convert times with."
	}
	return fmt.Sprintf("Limits in time are for a machine where a futex round trip takes %s; here it took %s, and times of code were converted by that. Tails, which the scheduler makes, were not.",
		formatDuration(yardstick), formatDuration(trip))
}

// drawn are the rows of pictures: too many lines tell nothing.
func drawn(row string) bool {
	return isLibrary(row) || isOpponent(row) || slices.Contains(barriers[:2], row)
}
