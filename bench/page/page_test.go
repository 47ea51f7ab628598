package page

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"html"
	"io"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aioloop/aioloop/bench"
	"github.com/aioloop/aioloop/bench/internal/recorded"
	"github.com/aioloop/aioloop/bench/report"
	"github.com/aioloop/aioloop/bench/verdict"
)

// quick is a quick run of all scenarios, as aiobench has written it.
func quick(t *testing.T) *report.Report { return read(t, "../terminal/testdata/quick.json") }

func read(t *testing.T, path string) *report.Report {
	t.Helper()
	r := recorded.Read(t, path)
	r.Verdict = verdict.Of(r)
	return r
}

// small is a report of a few results, with the rows of the benchmark.
func small(results ...report.Result) *report.Report {
	return &report.Report{Description: bench.Description(), Results: results}
}

// row is a result with a p50 and parameters like "pinned=yes".
func row(scenario, backend string, p50 time.Duration, params ...string) report.Result {
	res := report.Result{Scenario: scenario, Backend: backend, N: 1, P50: p50, P90: p50, Max: p50, Params: map[string]string{}}
	for _, p := range params {
		k, v, _ := strings.Cut(p, "=")
		res.Params[k] = v
	}
	return res
}

func pageOf(t *testing.T, r *report.Report) string {
	t.Helper()
	var b strings.Builder
	if err := Write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// balanced reads a page and complains about tags that do not match.
func balanced(doc string) error {
	dec := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(doc, "<!DOCTYPE html>")))
	dec.Strict = false
	dec.AutoClose = []string{"meta", "br", "wbr"}
	dec.Entity = xml.HTMLEntity
	for {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func contains(t *testing.T, doc string, words ...string) {
	t.Helper()
	for _, want := range words {
		if !strings.Contains(doc, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestPage(t *testing.T) {
	doc := pageOf(t, quick(t))
	if err := balanced(doc); err != nil {
		t.Error(err)
	}
	contains(t, doc, "<!DOCTYPE html>\n", `<html lang="en">`, `<meta charset="utf-8">`, `<meta name="viewport"`, "<title>aioloop benchmark",
		"prefers-color-scheme:dark", "Linux 6.18", "one clock read, 30 ns", `<h2>self-notifier</h2>`, "From event to callback")
}

// TestPagesOfMachines: one CPU, no io_uring, not root, few descriptors.
func TestPagesOfMachines(t *testing.T) {
	files, err := filepath.Glob("../verdict/testdata/*.json")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		r := read(t, path)
		doc := pageOf(t, r)
		if err := balanced(doc); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		contains(t, doc, "<h1>"+html.EscapeString(r.Verdict.Headline)+"</h1>", `class="chart"`)
		if r.Machine.CPUs == 1 && strings.Contains(doc, "on another CPU") {
			t.Errorf("%s speaks of another CPU", path)
		}
	}
}

// TestSelfContained: the only addresses are names of XML, and nothing runs.
func TestSelfContained(t *testing.T) {
	doc := strings.ReplaceAll(pageOf(t, quick(t)), `xmlns="http://www.w3.org/2000/svg"`, "")
	doc = regexp.MustCompile(`href="data:[^"]*"`).ReplaceAllString(doc, "")
	if m := regexp.MustCompile(`https?:|//[a-z]|<script|<link|<img|<\?xml|src=|url\(|@import|\son[a-z]+=`).FindString(doc); m != "" {
		t.Errorf("contains %q", m)
	}
}

func TestEscapes(t *testing.T) {
	const evil = `<script>alert("1")</script>`
	res := row(evil, evil, 1, evil+"="+evil)
	res.Notes = []string{evil}
	doc := pageOf(t, &report.Report{
		Machine: report.Machine{CPU: evil, Kernel: evil, Go: evil}, Results: []report.Result{res},
		Description: report.Description{Title: evil, Lead: evil, About: evil, Rows: []report.Row{{Name: evil, Kind: report.Own}}},
		Verdict:     report.Verdict{Headline: evil, Lines: []string{evil}, Notes: []string{evil}},
		Run:         &report.Run{Name: evil, Version: evil, Options: []string{evil}},
	})
	if strings.Contains(doc, "<script") || strings.Contains(doc, `alert("1")`) {
		t.Error("a name came through as markup")
	}
	if err := balanced(doc); err != nil {
		t.Error(err)
	}
}

func TestAnchors(t *testing.T) {
	doc := pageOf(t, quick(t))
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
	if n := len(bench.Config{Quick: true}.Chosen()); len(ids) != n || len(slices.Compact(ids)) != n {
		t.Errorf("ids %q, want one for each of %d scenarios", ids, n)
	}
}

// TestBeginsWithVerdict: what a reader sees first is the answer, all of it.
func TestBeginsWithVerdict(t *testing.T) {
	r := quick(t)
	r.Verdict = report.Verdict{Headline: "Take <this>.", Lines: []string{"Figures: 1 and 2", "a second line"}, Notes: []string{"the only note"}}
	top, _, _ := strings.Cut(pageOf(t, r), "<main>")
	contains(t, top, "<h1>Take &lt;this&gt;.</h1>", "<li><b>Figures:</b> 1 and 2</li>", "<li>a second line</li>", "the only note", "quick run", "AMD EPYC")
}

// TestHasItsData: the results that the page was made from are in it.
func TestHasItsData(t *testing.T) {
	r := quick(t)
	res := row("wake", "mine", 1)
	res.Histogram, res.Rounds = []report.Bucket{{1, 1}}, []time.Duration{1}
	r.Results = append(r.Results, res)
	href := regexp.MustCompile(`href="data:application/gzip;base64,([^"]*)"`).FindStringSubmatch(pageOf(t, r))
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
	back, err := report.ReadJSON(z)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back.Machine, r.Machine) || len(back.Results) != len(r.Results) {
		t.Errorf("%+v, %d results", back.Machine, len(back.Results))
	}
	for _, want := range r.Results {
		if !slices.ContainsFunc(back.Results, func(got report.Result) bool { return reflect.DeepEqual(got, want) }) {
			t.Errorf("%+v is missing", want)
		}
	}
}

func TestEmptyReport(t *testing.T) {
	if err := balanced(pageOf(t, &report.Report{})); err != nil {
		t.Error(err)
	}
}

// TestMachine: what is not known of the machine is not there.
func TestMachine(t *testing.T) {
	doc := pageOf(t, &report.Report{Machine: report.Machine{CPUs: 2, Governor: "powersave"}})
	contains(t, doc, "2 CPUs, governor powersave")
	if n := strings.Count(doc, "<dt>"); n != 1 {
		t.Errorf("%d facts of the machine, want 1", n)
	}
}

// TestFewPictures: at most 20, each of them described.
func TestFewPictures(t *testing.T) {
	doc := pageOf(t, quick(t))
	if n := strings.Count(doc, "<svg"); n < 5 || n > mostPictures || n != strings.Count(doc, `role="img" aria-label="`) {
		t.Errorf("%d pictures, each with a description", n)
	}
	r := small()
	for scenario, sweep := range map[string]string{"wake": "gap_us", "idle-fds": "idle_fds"} {
		for i := range 2 * 15 {
			r.Results = append(r.Results, row(scenario, "epoll", 1, sweep+"="+strconv.Itoa(i%2), "x="+strconv.Itoa(i/2)))
		}
	}
	if n := strings.Count(pageOf(t, r), "<svg"); n != 15 {
		t.Errorf("%d pictures", n)
	}
}

// TestIndependentOfOrder: the order of the results does not show.
func TestIndependentOfOrder(t *testing.T) {
	r := quick(t)
	first := pageOf(t, r)
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(r.Results), func(i, j int) { r.Results[i], r.Results[j] = r.Results[j], r.Results[i] })
	if pageOf(t, r) != first {
		t.Error("the page depends on the order of the results")
	}
}

// TestTailsNeedSamples: there is no p99 of fewer than 100.
func TestTailsNeedSamples(t *testing.T) {
	res := row("pingpong", "epoll", 1000, "pinned=yes")
	res.P90, res.P99, res.P999, res.Max = 2000, 77_000, 88_000, 99_000
	for n, want := range map[int64]int{report.SamplesP99 - 1: 0, report.SamplesP99: 3} { // chart, summary, and all numbers
		res.N = n
		if got := strings.Count(pageOf(t, small(res)), "77.0 µs"); got != want {
			t.Errorf("the p99 of %d samples is shown %d times, want %d", n, got, want)
		}
	}
}

type failingWriter struct{}

var errDisk = errors.New("disk is full")

func (failingWriter) Write([]byte) (int, error) { return 0, errDisk }

func TestWriteFails(t *testing.T) {
	if err := Write(failingWriter{}, quick(t)); !errors.Is(err, errDisk) {
		t.Errorf("%v", err)
	}
	bad := row("wake", "epoll", 1)
	bad.N = -1
	var b strings.Builder
	if err := Write(&b, small(bad)); !errors.Is(err, report.ErrInvalid) || b.Len() > 0 {
		t.Errorf("%v, wrote %q", err, b.String())
	}
}

// FuzzWrite: each report that can be read has a page.
func FuzzWrite(f *testing.F) {
	f.Add([]byte(`{"schema":"aioloop-bench/1","results":[{"scenario":"wake","backend":"epoll","params":{"gap_us":"5"},"n":3,"p50_ns":1,"p90_ns":1,"max_ns":2},{"scenario":"wake","backend":"epoll","params":{"gap_us":"0"},"n":3}]}`))
	f.Add([]byte(`{"schema":"aioloop-bench/1","results":[{"scenario":"\u0000","backend":"<b>","n":1,"max_ns":9223372036854775807,"cpu_ns_per_op":1e308}]}`))
	f.Add([]byte(`{"schema":"aioloop-bench/1"}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := report.ReadJSON(bytes.NewReader(in))
		if err != nil {
			return
		}
		r.Description = bench.Description()
		if err := balanced(pageOf(t, r)); err != nil {
			t.Error(err)
		}
	})
}
