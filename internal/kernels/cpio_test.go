//go:build linux

package main

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"
)

// readCpio is a reader that shares nothing with the writer but the format.
func readCpio(t *testing.T, b []byte) (names []string, content map[string]string) {
	t.Helper()
	content = map[string]string{}
	for at := 0; ; {
		field := func(i int) int {
			n, err := strconv.ParseInt(string(b[at+6+8*i:at+14+8*i]), 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
		if at%4 != 0 || string(b[at:at+6]) != "070701" {
			t.Fatalf("no header at %d", at)
		}
		mode, size, nameSize := field(1), field(6), field(11)
		name := string(b[at+110 : at+110+nameSize-1])
		data := (at + 110 + nameSize + 3) &^ 3
		at = (data + size + 3) &^ 3
		if name == "TRAILER!!!" {
			if at != len(b) {
				t.Errorf("%d bytes after the trailer", len(b)-at)
			}
			return names, content
		}
		names = append(names, name+" "+strconv.FormatInt(int64(mode), 8))
		content[name] = string(b[data : data+size])
	}
}

func TestCpio(t *testing.T) {
	var b bytes.Buffer
	c := newCpioWriter(&b)
	c.file("/init", 0o755, []byte("first"))
	c.folder("/src/aio")
	c.file("/src/aio/testdata/a", 0o644, []byte("12345678"))
	c.file("/src/aio/empty", 0o600, nil)
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	names, content := readCpio(t, b.Bytes())
	want := "init 100755, src 40755, src/aio 40755, src/aio/testdata 40755, src/aio/testdata/a 100644, src/aio/empty 100600"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if content["init"] != "first" || content["src/aio/testdata/a"] != "12345678" || content["src/aio/empty"] != "" {
		t.Errorf("%q", content)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestCpioKeepsTheError(t *testing.T) {
	c := newCpioWriter(fullDisk{})
	c.file("/init", 0o755, nil)
	if err := c.close(); err == nil {
		t.Error("no error")
	}
}
