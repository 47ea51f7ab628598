package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// rawFiles keeps each sample, for programs that want to check the percentiles: one file for
// each row and setting, one sample in nanoseconds on each line, in the order of time.
type rawFiles struct {
	folder string
	begun  map[string]bool
}

// newRawFiles makes the folder before anything is measured.
func newRawFiles(folder string) (*rawFiles, error) {
	return &rawFiles{folder: folder, begun: map[string]bool{}}, os.MkdirAll(folder, 0o777)
}

// rawName is the name of a benchmark as that of a file.
var rawName = strings.NewReplacer("/", ",", " ", "_", "(", "", ")", "")

// write adds the samples of a round. The first round replaces the file of an earlier run.
func (r *rawFiles) write(name string, samples []time.Duration) error {
	mode := os.O_TRUNC
	if r.begun[name] {
		mode = os.O_APPEND
	}
	r.begun[name] = true
	f, err := os.OpenFile(filepath.Join(r.folder, rawName.Replace(name)+".txt"), os.O_WRONLY|os.O_CREATE|mode, 0o666)
	if err != nil {
		return err
	}
	var lines []byte
	for _, d := range samples {
		lines = append(strconv.AppendInt(lines, int64(d), 10), '\n')
	}
	_, err = f.Write(lines)
	return errors.Join(err, f.Close())
}
