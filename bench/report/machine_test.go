package report

import "testing"

func TestMachineString(t *testing.T) {
	tests := []struct {
		machine Machine
		want    string
	}{
		{Machine{}, ""},
		{Machine{CPUs: 1, Go: "go1.26.0"}, "1 CPU · go1.26.0"},
		{Machine{CPU: "X", CPUs: 4, Governor: "powersave", Kernel: "6.1"}, "X, 4 CPUs, governor powersave · Linux 6.1"},
		{syntheticMachine(), "Example CPU 3000 @ 2.30GHz, 2 CPUs, virtual machine · Linux 6.18.2 · go1.26.0 linux/amd64 · GOMAXPROCS 2 · 2026-03-14"},
	}
	for _, tt := range tests {
		if got := tt.machine.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
