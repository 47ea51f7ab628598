package report

import (
	"cmp"
	"slices"
	"strings"
)

// Description is what a report knows about its scenarios and rows. The package that
// measures fills it. All of it is presentation: results of scenarios and rows that are
// not in it are shown behind the others.
type Description struct {
	// Title and Lead stand at the head of the page, About explains the names of the rows.
	Title, Lead, About string
	// Scenarios and Rows are in the order of the report. Which row is the fastest has
	// no influence on it.
	Scenarios []Scenario
	Rows      []Row
	// Words says settings in words, by "key=value" or, for all other values, by the key
	// alone, where %s is the value. A setting that is not in it is its key and its value.
	Words map[string]string
	// Chart is the picture at the head of the page.
	Chart Chart
}

// Chart is a picture of a few results that answer the main question: the same rows in
// several situations, on one axis.
type Chart struct {
	Title string
	Rows  []string
	Bands []Band
}

// Band is a situation in a Chart: a label, and the setting of a scenario.
type Band struct {
	Label, Scenario string
	Params          map[string]string
}

// Scenario is what is shown of a scenario beside its results.
type Scenario struct {
	Name string
	// About says in one or two sentences what is measured.
	About string
	// Params is the order in which parameters are shown and sorted. Others follow in
	// alphabetical order.
	Params []string
	// Sweep is the parameter on the horizontal axis of the scenario's picture, with
	// SweepLabel under it. Without one, the picture is a distribution.
	Sweep, SweepLabel string
	// Floors are, for rows that have another floor here than Row.Floor, those that do the same
	// with nothing around it. The first that was measured at a setting counts.
	Floors map[string][]string
	// Typical are the settings that stand for the whole scenario where there is room for
	// a few only, the first where there is room for one.
	Typical []map[string]string
}

// Row is what is shown of a row beside its results.
type Row struct {
	Name string
	Kind Kind
	// Floor is the row that does the same as this one with nothing around it.
	Floor string
	// Colour is the row whose colour this one has in pictures, if it has none of its own.
	Colour string
	// Reference is the heading for ratios of other rows to this one. Without it there
	// are none.
	Reference string
	// Process is set if the row is a process of its own: its allocations are not known,
	// and it has no ratios to others.
	Process bool
}

// Kind is what a row is compared for.
type Kind int

const (
	Peer  Kind = iota // something else that does the same, and any row without a description
	Own               // what is measured
	Floor             // shows a limit only
)

// Row returns the description of a row.
func (d *Description) Row(name string) Row {
	if i := d.rowRank(name); i < len(d.Rows) {
		return d.Rows[i]
	}
	return Row{Name: name}
}

// setting is the value of a parameter in words.
func (d *Description) setting(key, value string) string {
	if words, ok := d.Words[key+"="+value]; ok {
		return words
	}
	if words, ok := d.Words[key]; ok {
		return Printable(strings.ReplaceAll(words, "%s", groupDigits(value)))
	}
	return Printable(key + " " + value)
}

// label is several settings in words.
func (d *Description) label(keys []string, params map[string]string) string {
	var parts []string
	for _, k := range keys {
		if v, ok := params[k]; ok {
			parts = append(parts, d.setting(k, v))
		}
	}
	return strings.Join(parts, ", ")
}

// rowRank ranks rows without a description behind all others.
func (d *Description) rowRank(name string) int {
	return rank(d.Rows, func(r Row) bool { return r.Name == name })
}

// CompareRows is the order of two rows.
func (d *Description) CompareRows(a, b string) int {
	return cmp.Or(cmp.Compare(d.rowRank(a), d.rowRank(b)), cmp.Compare(a, b))
}

func (d *Description) scenario(name string) Scenario {
	if i := d.scenarioRank(name); i < len(d.Scenarios) {
		return d.Scenarios[i]
	}
	return Scenario{Name: name}
}

func (d *Description) scenarioRank(name string) int {
	return rank(d.Scenarios, func(s Scenario) bool { return s.Name == name })
}

func rank[T any](list []T, is func(T) bool) int {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return i
	}
	return len(list)
}
