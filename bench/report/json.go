package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// WriteJSON writes the report as one JSON object. Each result stands on a line
// of its own, so that line tools and diffs of two runs are useful. A report
// that [Report.Validate] refuses is not written.
func (r *Report) WriteJSON(w io.Writer) error {
	if err := r.Validate(); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	machine, err := json.MarshalIndent(r.Machine, "  ", "  ")
	if err != nil {
		return fmt.Errorf("write JSON: machine: %w", err)
	}
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "{\n  \"schema\": %q,\n  \"machine\": %s,", Schema, machine)
	for _, f := range []struct {
		name  string
		has   bool
		value any
	}{{"run", r.Run != nil, r.Run}, {"verdict", r.Verdict.Headline != "", r.Verdict}, {"absent", len(r.Absent) > 0, r.Absent}} {
		if !f.has {
			continue
		}
		value, err := json.Marshal(f.value)
		if err != nil {
			return fmt.Errorf("write JSON: %s: %w", f.name, err)
		}
		fmt.Fprintf(b, "\n  \"%s\": %s,", f.name, value)
	}
	b.WriteString("\n  \"results\": [")
	for i := range r.Results {
		if err := writeResult(b, i, r.Results[i]); err != nil {
			return fmt.Errorf("write JSON: results[%d]: %w", i, err)
		}
	}
	b.WriteString("\n  ]\n}\n")
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// writeResult takes res by value: it gives a result without parameters an
// empty object instead of null, and must not do so to the caller's.
func writeResult(b *bufio.Writer, i int, res Result) error {
	if res.Params == nil {
		res.Params = map[string]string{}
	}
	if res.N < SamplesP99 {
		res.P99 = 0
	}
	if res.N < SamplesP999 {
		res.P999 = 0
	}
	line, err := json.Marshal(res)
	if err != nil {
		return err
	}
	if i > 0 {
		b.WriteByte(',')
	}
	b.WriteString("\n    ")
	b.Write(line)
	return nil
}

// ReadJSON reads one report and validates it. Fields that this version does
// not know are ignored; another schema, a second JSON value behind the first,
// and everything that [Report.Validate] refuses are errors.
func ReadJSON(rd io.Reader) (*Report, error) {
	r := new(Report)
	dec := json.NewDecoder(rd)
	if err := dec.Decode(r); err != nil {
		return nil, fmt.Errorf("read JSON: %w", unexpectedEOF(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read JSON: %w: something follows the report", ErrInvalid)
	}
	// An empty schema is a convenience for Go callers; a file has to name it.
	if r.Schema == "" {
		return nil, fmt.Errorf("read JSON: %w: schema is missing, expected %q", ErrInvalid, Schema)
	}
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	return r, nil
}

// unexpectedEOF keeps an empty file from looking like a normal end of input.
func unexpectedEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
