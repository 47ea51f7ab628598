//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"os/exec"
	"testing"

	"github.com/aioloop/aioloop/internal/kernels/protocol"
)

func TestSparse(t *testing.T) {
	const block = protocol.DiskBlock
	content := make([]byte, 5*block)
	content[block], content[5*block-1] = 1, 2
	got := sparse(content)
	if len(got) != 2*(8+block) {
		t.Fatalf("%d bytes", len(got))
	}
	again := make([]byte, len(content))
	for ; len(got) > 0; got = got[8+block:] {
		copy(again[binary.LittleEndian.Uint64(got):], got[8:8+block])
	}
	if !bytes.Equal(again, content) {
		t.Error("the blocks are not those of the content")
	}
}

func TestMakeDisk(t *testing.T) {
	if _, err := exec.LookPath("mke2fs"); err != nil {
		t.Skip("skipped: needs mke2fs")
	}
	got, err := makeDisk(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const superblock, magic = 1024, 56
	if len(got) > protocol.DiskSize/32 || binary.LittleEndian.Uint16(got[8+superblock+magic:]) != 0xef53 {
		t.Errorf("%d bytes, which are no ext4 without its zeros", len(got))
	}
}
