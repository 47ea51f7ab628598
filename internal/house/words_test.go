package house

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// idioms make a sentence harder for a reader who learned English as a foreign language.
var idioms = regexp.MustCompile(`(?i)\b(whoever|nobody|somebody|anew|for ever|besides|of late|meanwhile|at once|is to be|are to be|also if|stands in)\b`)

// perWords is so many idioms in a thousand words of comments and documents.
const perWords = 0.5

func TestFewIdioms(t *testing.T) {
	words, found := 0, 0
	count := func(path, text string) {
		words += len(strings.Fields(text))
		for _, idiom := range idioms.FindAllString(text, -1) {
			found++
			t.Logf("%s: %q", path, idiom)
		}
	}
	eachFile(t, ".md", func(path string) { count(path, fenced.ReplaceAllString(read(t, path), "")) })
	eachFile(t, ".go", func(path string) { count(path, comments(t, path)) })
	if limit := int(float64(words) * perWords / 1000); found > limit || words < 50_000 {
		t.Errorf("%d idioms in %d words, at most %d are wanted", found, words, limit)
	}
}

func comments(t *testing.T, path string) string {
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, group := range f.Comments {
		text.WriteString(group.Text())
	}
	return text.String()
}
