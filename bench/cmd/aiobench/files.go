package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/aioloop/aioloop/bench/report"
)

// files are what the run leaves behind. They are opened before it begins, because
// a path that cannot be written should not be noticed after minutes of measuring,
// and replace their predecessors only when they are complete.
type files struct {
	folder string
	open   []*output
}

// output is one file. While it is written it has a name of its own next to path,
// unless path is a pipe or a device.
type output struct {
	path string
	form func(*report.Report, io.Writer) error
	file *os.File
	temp bool
}

func openFiles(o *options) (*files, error) {
	f := &files{folder: o.out}
	if o.out != "" {
		if err := os.MkdirAll(o.out, 0o777); err != nil {
			return nil, err
		}
	}
	for _, out := range o.outputs() {
		if err := out.create(); err != nil {
			f.discard()
			return nil, err
		}
		f.open = append(f.open, out)
	}
	return f, nil
}

// outputs lists the files that were asked for.
func (o *options) outputs() (list []*output) {
	add := func(path string, form func(*report.Report, io.Writer) error) {
		list = append(list, &output{path: path, form: form})
	}
	if o.json != "" {
		add(o.json, (*report.Report).WriteJSON)
	}
	if o.html != "" {
		add(o.html, (*report.Report).WriteHTML)
	}
	if o.out != "" {
		add(filepath.Join(o.out, "table.txt"), (*report.Report).WriteTable)
		add(filepath.Join(o.out, "results.json"), (*report.Report).WriteJSON)
		add(filepath.Join(o.out, "report.html"), (*report.Report).WriteHTML)
	}
	return list
}

func (o *output) create() (err error) {
	if info, statErr := os.Stat(o.path); statErr == nil && info.IsDir() {
		return fmt.Errorf("%s is a folder, not a file", o.path)
	} else if statErr == nil && !info.Mode().IsRegular() {
		o.file, err = os.OpenFile(o.path, os.O_WRONLY, 0)
		return err
	}
	o.temp = true
	o.file, err = os.OpenFile(o.path+".part", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	return err
}

// write fills the files.
func (f *files) write(r *report.Report) error {
	for _, o := range f.open {
		if err := o.write(r); err != nil {
			return err
		}
	}
	return nil
}

// names says in one line where the results are.
func (f *files) names(stdout io.Writer) (err error) {
	var paths []string
	for _, o := range f.open {
		paths = append(paths, o.path)
	}
	switch {
	case f.folder != "":
		_, err = fmt.Fprintf(stdout, "\nThe table, the results as JSON and the report as a page are in %s\n", f.folder)
	case len(paths) > 0:
		_, err = fmt.Fprintf(stdout, "\nWritten: %s\n", strings.Join(paths, ", "))
	}
	return err
}

func (o *output) write(r *report.Report) error {
	err := errors.Join(o.form(r, o.file), o.file.Close())
	if err == nil && o.temp {
		err = os.Rename(o.file.Name(), o.path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", o.path, err)
	}
	o.file = nil
	return nil
}

// discard removes what was not completed.
func (f *files) discard() {
	for _, o := range f.open {
		if o.file == nil {
			continue
		}
		_ = o.file.Close()
		if o.temp {
			_ = os.Remove(o.file.Name())
		}
	}
}
