package house

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	fenced   = regexp.MustCompile("(?ms)^ *```.*?^ *```|<!--.*?-->")
	linkTo   = regexp.MustCompile(`\]\(([^)#:\s]*)(?:#([^)\s]+))?\)`)
	headings = regexp.MustCompile(`(?m)^#+ +(.*?) *$`)
	unlinked = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// TestLinksLead checks that each Markdown file links only to files that exist, and to
// headings that those files have.
func TestLinksLead(t *testing.T) {
	links := 0
	eachFile(t, ".md", func(doc string) {
		if strings.Contains(doc, "testdata/") {
			return
		}
		for _, m := range linkTo.FindAllStringSubmatch(fenced.ReplaceAllString(read(t, doc), ""), -1) {
			links++
			if problem := followLink(t, doc, m[1], m[2]); problem != "" {
				t.Errorf("%s links to %s#%s: %s", doc, m[1], m[2], problem)
			}
		}
	})
	if links == 0 {
		t.Error("no Markdown file has a link")
	}
}

// followLink says why a link of doc to a heading of a file leads nowhere.
func followLink(t *testing.T, doc, file, heading string) (problem string) {
	target := doc
	if file != "" {
		target = filepath.Join(filepath.Dir(doc), file)
	}
	if _, err := os.Stat(filepath.Join(root, target)); err != nil {
		return err.Error()
	}
	if heading != "" && filepath.Ext(target) == ".md" && !slices.Contains(anchors(read(t, target)), heading) {
		return "no such heading"
	}
	return ""
}

// anchors returns what GitHub makes of the headings of a document.
func anchors(markdown string) (names []string) {
	for _, m := range headings.FindAllStringSubmatch(fenced.ReplaceAllString(markdown, ""), -1) {
		name := unlinked.ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

// TestLinksCanFail makes sure that the check finds what is missing.
func TestLinksCanFail(t *testing.T) {
	for _, link := range [][2]string{{"docs/elsewhere.md", ""}, {"README.md", "elsewhere"}, {"", "elsewhere"}} {
		if followLink(t, "CONTRIBUTING.md", link[0], link[1]) == "" {
			t.Errorf("%s#%s leads somewhere", link[0], link[1])
		}
	}
}
