package report

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func pageOf(t *testing.T, r *Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var syntheticPageOnce = sync.OnceValues(func() (string, error) {
	var b strings.Builder
	err := syntheticReport().WriteHTML(&b)
	return b.String(), err
})

// syntheticPage draws its hundred plots once for all tests.
func syntheticPage(t *testing.T) string {
	t.Helper()
	doc, err := syntheticPageOnce()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// balanced reads a page and complains about tags that do not match.
func balanced(doc string) error {
	dec := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(doc, "<!DOCTYPE html>")))
	dec.Strict = false
	dec.AutoClose = []string{"meta", "br"}
	dec.Entity = xml.HTMLEntity
	for {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func TestHTMLPage(t *testing.T) {
	doc := syntheticPage(t)
	if err := balanced(doc); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		"<!DOCTYPE html>\n", `<html lang="en">`, `<meta charset="utf-8">`, `<meta name="viewport"`, "<title>aioloop benchmark", "prefers-color-scheme:dark",
		"<dd>Linux 6.18.2</dd>", "<dd>Example CPU 3000 @ 2.30GHz</dd>", "one clock read, 38 ns",
		`<h2>self-notifier</h2>`, "not pinned: the runtime moves", "overflow-x:auto",
	} {
		if !strings.Contains(doc, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

// TestHTMLSelfContained: the only addresses are names of XML, and nothing runs.
func TestHTMLSelfContained(t *testing.T) {
	doc := strings.ReplaceAll(syntheticPage(t), `xmlns="http://www.w3.org/2000/svg"`, "")
	if m := regexp.MustCompile(`https?:|//[a-z]|<script|<link|<img|<\?xml|src=|url\(|@import|\son[a-z]+=`).FindString(doc); m != "" {
		t.Errorf("contains %q", m)
	}
}

func TestHTMLEscapes(t *testing.T) {
	const evil = `<script>alert("1")</script>`
	res := minimal()
	res.Scenario, res.Backend, res.Notes = evil, evil, []string{evil}
	res.Params = map[string]string{evil: evil}
	doc := pageOf(t, &Report{Machine: Machine{CPU: evil, Kernel: evil, Go: evil}, Results: []Result{res}, Description: Description{Title: evil, Lead: evil, About: evil}})
	if strings.Contains(doc, "<script") || strings.Contains(doc, `alert("1")`) {
		t.Error("a name came through as markup")
	}
	if err := balanced(doc); err != nil {
		t.Error(err)
	}
}

func TestHTMLAnchors(t *testing.T) {
	doc := syntheticPage(t)
	var ids []string
	for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(doc, -1) {
		ids = append(ids, m[1])
	}
	for _, m := range regexp.MustCompile(` href="#([^"]*)"`).FindAllStringSubmatch(doc, -1) {
		if !slices.Contains(ids, m[1]) {
			t.Errorf("link to #%s leads nowhere", m[1])
		}
	}
	slices.Sort(ids)
	if n := len(testDescription().Scenarios); len(ids) != n || len(slices.Compact(ids)) != n {
		t.Errorf("ids %q, want one for each of %d scenarios", ids, n)
	}
}

func TestHTMLMarksLeaders(t *testing.T) {
	row := func(backend string, latency time.Duration) Result {
		return Result{Scenario: "wake", Backend: backend, N: 1, P50: latency, P90: latency, P99: latency, P999: latency, Max: latency}
	}
	doc := pageOf(t, described(row("ppoll", 200), row("epoll", 100), row("io_uring", 104)))
	want := `<td class="num">200 ns</td><td class="num best">100 ns</td><td class="num best">104 ns</td>`
	if !strings.Contains(doc, want) {
		t.Errorf("%q is missing", want)
	}
	if n := strings.Count(doc, `<tr class="best">`); n != 2 {
		t.Errorf("%d rows marked, want 2", n)
	}
}

func TestHTMLEmptyReport(t *testing.T) {
	if err := balanced(pageOf(t, &Report{})); err != nil {
		t.Error(err)
	}
}

// TestHTMLMachine: what is not known of the machine is not there.
func TestHTMLMachine(t *testing.T) {
	doc := pageOf(t, &Report{Machine: Machine{CPUs: 2, Governor: "powersave"}})
	for _, want := range []string{"<dt>CPUs</dt><dd>2</dd>", "<dt>Governor</dt><dd>powersave</dd>"} {
		if !strings.Contains(doc, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if n := strings.Count(doc, "<dt>"); n != 2 {
		t.Errorf("%d facts of the machine, want 2", n)
	}
}

// TestHTMLHasFewPictures: one for each scenario, and each is described.
func TestHTMLHasFewPictures(t *testing.T) {
	doc := syntheticPage(t)
	if n, want := strings.Count(doc, "<svg"), len(testDescription().Scenarios); n != want || n != strings.Count(doc, `role="img" aria-label="`) {
		t.Errorf("%d pictures, want %d, each with a description", n, want)
	}
}
