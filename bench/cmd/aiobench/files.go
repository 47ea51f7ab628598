package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

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
	if err := o.makeFolder(); err != nil {
		return nil, err
	}
	f := &files{folder: o.out}
	for _, out := range o.outputs() {
		if err := out.create(); err != nil {
			f.discard()
			return nil, fmt.Errorf("%w: choose another file or folder (-out, or OUT= for make bench)", err)
		}
		f.open = append(f.open, out)
	}
	return f, nil
}

// makeFolder makes the folder that was asked for. Where the standard one cannot be written
// a temporary one takes its place.
func (o *options) makeFolder() (err error) {
	if o.out == "" {
		return nil
	}
	err = os.MkdirAll(o.out, 0o777)
	if o.out == standardOut && (err != nil || unix.Access(o.out, unix.W_OK) != nil) {
		o.out, err = os.MkdirTemp("", standardOut+"-")
	}
	if err != nil {
		return fmt.Errorf("%w: choose another folder (-out, or OUT= for make bench)", err)
	}
	return nil
}

const tableFile = "table.txt"

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
		add(filepath.Join(o.out, tableFile), (*report.Report).WriteTable)
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

// write fills the files. One that cannot be written keeps no other from it.
func (f *files) write(r *report.Report) error {
	var errs []error
	for _, o := range f.open {
		errs = append(errs, o.write(r))
	}
	return errors.Join(errs...)
}

// table is the file with the table, empty if there is none.
func (f *files) table() string {
	if f.folder == "" {
		return ""
	}
	return filepath.Join(f.folder, tableFile)
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
