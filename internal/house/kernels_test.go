package house

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestWorkflowHasEveryKernel checks that ci.yml has one job for each kernel of the data
// file, and no other.
func TestWorkflowHasEveryKernel(t *testing.T) {
	var list struct{ Kernels []struct{ Name string } }
	if err := json.Unmarshal([]byte(read(t, "internal/kernels/kernels.json")), &list); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, k := range list.Kernels {
		want = append(want, k.Name)
	}
	workflow := read(t, ".github/workflows/ci.yml")
	m := regexp.MustCompile(`(?m)^ +kernel: (\[.*\])$`).FindStringSubmatch(workflow)
	if m == nil {
		t.Fatal("ci.yml has no line kernel: [...]")
	}
	var got []string
	if err := json.Unmarshal([]byte(m[1]), &got); err != nil {
		t.Fatal(err)
	}
	if len(want) < 5 || !slices.Equal(got, want) {
		t.Errorf("ci.yml has a job for each of %q, kernels.json has %q", got, want)
	}
	if !strings.Contains(workflow, "make kernels KERNEL=${{ matrix.kernel }}") {
		t.Error("no job of ci.yml makes the kernel that it is named after")
	}
}
