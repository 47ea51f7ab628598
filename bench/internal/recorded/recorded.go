// Package recorded reads results of aiobench that tests keep in testdata.
package recorded

import (
	"os"
	"testing"

	"github.com/aioloop/aioloop/bench"
	"github.com/aioloop/aioloop/bench/report"
)

// Read returns the report of a results file, with the description for its machine.
func Read(t testing.TB, path string) *report.Report {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := report.ReadJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	r.Description = bench.DescriptionOn(r.Machine)
	return r
}
