package report

import (
	"strings"
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
	return t.text(t.rows)
}

func (t *mdTable) text(rows [][]string) string {
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
	for _, cells := range rows {
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
func markdown(s string) string { return markdownEscapes.Replace(printable(s)) }

// peerName is the name of a row that is not ours, in italics.
func peerName(row string) string { return "*" + markdown(row) + "*" }
