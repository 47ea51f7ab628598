package report

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"html"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
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

// syntheticPage is made once for all tests.
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
		"Linux 6.18.2", "Example CPU 3000 @ 2.30GHz", "one clock read, 38 ns",
		`<h2>self-notifier</h2>`, "not pinned: the runtime moves", "prefers-color-scheme:dark",
	} {
		if !strings.Contains(doc, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

// TestHTMLSelfContained: the only addresses are names of XML, and nothing runs.
func TestHTMLSelfContained(t *testing.T) {
	doc := strings.ReplaceAll(syntheticPage(t), `xmlns="http://www.w3.org/2000/svg"`, "")
	doc = regexp.MustCompile(`href="data:[^"]*"`).ReplaceAllString(doc, "")
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

// TestHTMLBeginsWithVerdict: what a reader sees first is the answer, all of it.
func TestHTMLBeginsWithVerdict(t *testing.T) {
	r := syntheticReport()
	r.Verdict = Verdict{Headline: "Take <this>.", Lines: []string{"the first line", "the second line"}, Notes: []string{"the only note"}}
	r.Run = &Run{Quick: true}
	top, _, _ := strings.Cut(pageOf(t, r), "<main>")
	for _, want := range []string{"<h1>Take &lt;this&gt;.</h1>", "the first line", "the second line", "the only note", "quick run", "Example CPU 3000"} {
		if !strings.Contains(top, want) {
			t.Errorf("%q is missing in\n%s", want, top[strings.Index(top, "<body>"):])
		}
	}
}

// TestHTMLHasItsData: the results that the page was made from are in it, each bucket.
func TestHTMLHasItsData(t *testing.T) {
	r := syntheticReport()
	r.Schema = Schema
	href := regexp.MustCompile(`href="data:application/gzip;base64,([^"]*)"`).FindStringSubmatch(syntheticPage(t))
	if href == nil {
		t.Fatal("no data")
	}
	packed, err := base64.StdEncoding.DecodeString(html.UnescapeString(href[1]))
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	back, err := ReadJSON(z)
	if err != nil {
		t.Fatal(err)
	}
	results := map[string]Result{}
	for _, res := range back.Results {
		results[res.identity()] = res
	}
	for _, res := range r.Results {
		got := results[res.identity()]
		if res.Params == nil {
			res.Params = map[string]string{}
		}
		if !reflect.DeepEqual(got, res) {
			t.Errorf("%s is %+v", res.identity(), got)
		}
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
	if want := "2 CPUs, governor powersave"; !strings.Contains(doc, want) {
		t.Errorf("%q is missing", want)
	}
	if n := strings.Count(doc, "<dt>"); n != 1 {
		t.Errorf("%d facts of the machine, want 1", n)
	}
}

// TestHTMLHasFewPictures: one for each panel, and at most 20, each of them described.
func TestHTMLHasFewPictures(t *testing.T) {
	panels := 0
	for _, s := range syntheticReport().Sections() {
		if p := s.picture(); p != nil {
			panels += len(p.Panels)
		}
	}
	doc := syntheticPage(t)
	if n := strings.Count(doc, "<svg"); n != panels || n != strings.Count(doc, `role="img" aria-label="`) {
		t.Errorf("%d pictures, want %d, each with a description", n, panels)
	}
	r := described()
	for scenario, sweep := range map[string]string{"wake": "gap_us", "idle-fds": "idle_fds"} {
		for i := range 2 * 15 {
			res := minimal()
			res.Scenario, res.Params = scenario, map[string]string{sweep: strconv.Itoa(i % 2), "x": strconv.Itoa(i / 2)}
			r.Results = append(r.Results, res)
		}
	}
	if n := strings.Count(pageOf(t, r), "<svg"); n != 15 {
		t.Errorf("%d pictures", n)
	}
}
