package report

// Verdict is the answer that a run gives, in sentences. The package that measures writes
// it from the results. The page shows it first and the terminal last.
type Verdict struct {
	// Headline is one sentence: what to take.
	Headline string `json:"headline"`
	// Lines are the figures that it rests on, in the order of importance.
	Lines []string `json:"lines,omitempty"`
	// Notes say what could not be measured, and why.
	Notes []string `json:"notes,omitempty"`
}
