package report_test

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aioloop/aioloop/bench/report"
)

func measured(backend string, latency time.Duration) report.Result {
	rec := report.NewRecorder()
	for i := range time.Duration(1000) {
		rec.Record(latency + i*latency/1000)
	}
	res := report.Result{
		Scenario:   "wake",
		Backend:    backend,
		Params:     map[string]string{"gap_us": "20", "polling": "off"},
		CPUNSPerOp: 4300,
	}
	rec.Summarize(&res)
	return res
}

var description = report.Description{
	Scenarios: []report.Scenario{{Name: "wake", About: "From a notification to the callback.", Params: []string{"polling", "gap_us"}}},
	Rows:      []report.Row{{Name: "epoll", Kind: report.Own}, {Name: "io_uring", Kind: report.Own}},
}

func ExampleReport_WriteTable() {
	r := report.Report{Description: description, Results: []report.Result{
		measured("goroutine+channel", 110*time.Microsecond),
		measured("io_uring", 25*time.Microsecond),
		measured("epoll", 26*time.Microsecond),
	}}
	if err := r.WriteTable(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// wake
	//   From a notification to the callback.
	//
	//   polling  gap_us  backend               n      p50      p90      p99    p99.9      max  CPU/event  allocs/op  ratio
	//       off      20  epoll              1000  39.0 µs  49.4 µs  51.7 µs  52.0 µs  52.0 µs    4300 ns          0  1.04×
	//       off      20  io_uring           1000  37.5 µs  47.5 µs  49.7 µs  50.0 µs  50.0 µs    4300 ns          0  1.00×
	//       off      20  goroutine+channel  1000   165 µs   209 µs   219 µs   220 µs   220 µs    4300 ns          0  4.40×
}

func ExampleReadJSON() {
	_, err := report.ReadJSON(strings.NewReader(`{"schema": "aioloop-bench/1", "results": [{"scenario": "wake"}]}`))
	fmt.Println(err)
	// Output:
	// read JSON: invalid report: results[0]: backend is missing
}

func ExampleRecorder() {
	rec := report.NewRecorder()
	for i := range 1000 {
		rec.Record(time.Duration(i+1) * time.Nanosecond)
	}
	fmt.Println(rec.N(), rec.Percentile(50), rec.Percentile(99.9), rec.Max())
	// Output:
	// 1000 500ns 999ns 1µs
}
