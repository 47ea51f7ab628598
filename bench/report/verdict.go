package report

import "fmt"

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

// Absence is a row that was not measured.
type Absence struct {
	Row string `json:"backend"`
	// Where is the scenario with its parameters; empty if the row could not run at all.
	Where string `json:"where,omitempty"`
	// Why is the reason, with what can be done about it.
	Why string `json:"why"`
}

// LeftOut is one sentence for each reason, in the order in which they came up.
func (r *Report) LeftOut() []string {
	var order []string
	rows := map[string][]string{}
	for _, a := range r.Absent {
		reason := a.Why
		if a.Where != "" {
			reason = a.Where + ": " + reason
		}
		if rows[reason] == nil {
			order = append(order, reason)
		}
		rows[reason] = append(rows[reason], a.Row)
	}
	for i, reason := range order {
		order[i] = rows[reason][0]
		if more := len(rows[reason]) - 1; more > 0 {
			order[i] += fmt.Sprintf(" and %d more", more)
		}
		order[i] = Printable(order[i] + ": " + reason)
	}
	return order
}
