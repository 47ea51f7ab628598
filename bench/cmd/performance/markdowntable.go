package main

import (
	"strings"

	"github.com/aioloop/aioloop/bench/report"
)

// mdTable is a table of Markdown. Its first columns hold words, the others numbers.
type mdTable struct {
	words int
	heads []string
	rows  [][]string
}

func (t *mdTable) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *mdTable) String() string {
	if len(t.rows) == 0 {
		return "None.\n"
	}
	var b strings.Builder
	writeMarkdownRow(&b, t.heads)
	for i := range t.heads {
		rule := "|--:"
		if i < t.words {
			rule = "|---"
		}
		b.WriteString(rule)
	}
	b.WriteString("|\n")
	for _, cells := range t.rows {
		writeMarkdownRow(&b, cells)
	}
	return b.String()
}

func writeMarkdownRow(b *strings.Builder, cells []string) {
	for _, c := range cells {
		b.WriteString("| " + c + " ")
	}
	b.WriteString("|\n")
}

var markdownEscapes = strings.NewReplacer(`\`, `\\`, "|", `\|`, "<", "&lt;", ">", "&gt;", "&", "&amp;", "*", `\*`, "`", "\\`", "[", `\[`, "]", `\]`)

// markdown makes words from a file safe for a line of text or a cell.
func markdown(s string) string { return markdownEscapes.Replace(report.Printable(s)) }

// rowName is the name of a row, in italics if it is not one of ours.
func rowName(row report.Row) string {
	if row.Kind == report.Own {
		return markdown(row.Name)
	}
	return "*" + markdown(row.Name) + "*"
}
