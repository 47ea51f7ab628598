package report

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestJSONGolden(t *testing.T) {
	res := minimal()
	res.Params = map[string]string{"polling": "on", "gap_us": "20"}
	res.CPUNSPerOp, res.AllocsPerOp = 64.5, 0
	res.Histogram = []Bucket{{1, 6}, {5, 4}}
	res.Notes = []string{"not pinned"}
	res.Rounds = []time.Duration{1, 2}
	res.Figures = map[string]float64{"bytes/fd": 250.5}
	bare := minimal()
	r := &Report{Machine: syntheticMachine(), Results: []Result{res, bare}}
	r.Verdict = Verdict{Headline: "Take it.", Lines: []string{"a"}}
	r.Absent = []Absence{{Row: "ppoll", Why: "forbidden"}}
	want := `{
  "schema": "aioloop-bench/1",
  "machine": {
    "kernel": "6.18.2",
    "cpu": "Example CPU 3000 @ 2.30GHz",
    "cpus": 2,
    "virtualization": "virtual machine",
    "go": "go1.26.0",
    "gomaxprocs": 2,
    "goos": "linux",
    "goarch": "amd64",
    "clock_ns": 38.4,
    "date": "2026-03-14T15:09:26Z"
  },
  "verdict": {"headline":"Take it.","lines":["a"]},
  "absent": [{"backend":"ppoll","why":"forbidden"}],
  "results": [
    {"scenario":"wake","backend":"epoll","params":{"gap_us":"20","polling":"on"},"n":10,"p50_ns":1,"p90_ns":2,"max_ns":5,"cpu_ns_per_op":64.5,"allocs_per_op":0,"histogram":[[1,6],[5,4]],"rounds_p50_ns":[1,2],"figures":{"bytes/fd":250.5},"notes":["not pinned"]},
    {"scenario":"wake","backend":"epoll","params":{},"n":10,"p50_ns":1,"p90_ns":2,"max_ns":5,"cpu_ns_per_op":0,"allocs_per_op":0}
  ]
}
`
	var got bytes.Buffer
	if err := r.WriteJSON(&got); err != nil {
		t.Fatal(err)
	}
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
	if r.Results[1].Params != nil {
		t.Error("WriteJSON changed the report")
	}
}

func TestJSONRoundTrip(t *testing.T) {
	r := syntheticReport()
	r.Schema = Schema
	for i := range r.Results {
		if r.Results[i].Params == nil {
			r.Results[i].Params = map[string]string{}
		}
	}
	var buf bytes.Buffer
	if err := r.WriteJSON(&buf); err != nil {
		t.Fatal(err)
	}
	back, err := ReadJSON(&buf)
	if err != nil {
		t.Fatal(err)
	}
	back.Description = r.Description
	if !reflect.DeepEqual(r, back) {
		t.Error("the report read differs from the one written")
	}
}

func TestReadJSONRefuses(t *testing.T) {
	const head = `{"schema":"aioloop-bench/1","results":[`
	tests := []struct{ name, in, want string }{
		{"empty file", "", "unexpected EOF"},
		{"cut off", `{"schema":`, "unexpected EOF"},
		{"not an object", `[]`, "cannot unmarshal array"},
		{"no schema", `{}`, `schema is missing, expected "aioloop-bench/1"`},
		{"other schema", `{"schema":"x"}`, `schema is "x"`},
		{"trailing", `{"schema":"aioloop-bench/1"} {}`, "something follows"},
		{"fraction of a nanosecond", head + `{"p50_ns":1.5}]}`, "p50_ns"},
		{"bucket of wrong type", head + `{"histogram":[["a",1]]}]}`, "histogram"},
		{"no backend", head + `{"scenario":"wake","n":1}]}`, "results[0]: backend is missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadJSON(strings.NewReader(tt.in))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestReadJSONKeepsCause(t *testing.T) {
	if _, err := ReadJSON(strings.NewReader("")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want io.ErrUnexpectedEOF", err)
	}
	if _, err := ReadJSON(strings.NewReader("{}")); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func TestReadJSONIgnoresUnknownFields(t *testing.T) {
	r, err := ReadJSON(strings.NewReader(`{"schema":"aioloop-bench/1","later":1,"results":[]}`))
	if err != nil || r.Schema != Schema {
		t.Errorf("got %v, %v", r, err)
	}
}

// FuzzReadJSON: whatever ReadJSON accepts, it accepts again after WriteJSON, and every
// writer copes with it.
func FuzzReadJSON(f *testing.F) {
	f.Add([]byte(`{"schema":"aioloop-bench/1","machine":{"cpu":"x","date":"2026-01-02T03:04:05Z"},"results":[{"scenario":"wake","backend":"epoll","params":{"gap_us":"5"},"n":3,"p50_ns":1,"p90_ns":1,"p99_ns":1,"p999_ns":1,"max_ns":2,"cpu_ns_per_op":1.5,"allocs_per_op":0,"histogram":[[1,2],[2,1]],"notes":["n"]},{"scenario":"wake","backend":"epoll","params":{"gap_us":"0"},"n":3}]}`))
	f.Add([]byte(`{"schema":"aioloop-bench/1","results":[{"scenario":"\u0000","backend":"<b>","n":1,"max_ns":9223372036854775807,"cpu_ns_per_op":1e308}]}`))
	f.Add([]byte(`{"schema":"aioloop-bench/1"}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := ReadJSON(bytes.NewReader(in))
		if err != nil {
			return
		}
		var first, second bytes.Buffer
		if err := r.WriteJSON(&first); err != nil {
			t.Fatalf("accepted, but not writable: %v", err)
		}
		again, err := ReadJSON(bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatalf("accepted, but not after writing: %v", err)
		}
		if err := again.WriteJSON(&second); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("second writing differs (%v):\n%s\n%s", err, first.Bytes(), second.Bytes())
		}
		if err := errors.Join(r.WriteTable(io.Discard), r.WriteHTML(io.Discard)); err != nil {
			t.Fatal(err)
		}
	})
}
