//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/aioloop/aioloop/internal/kernels/protocol"
)

// diskFeatures are those of an ext4 that each kernel can mount, the oldest too. What mke2fs chooses
// depends on its version.
const diskFeatures = "none,has_journal,ext_attr,dir_index,filetype,extent,flex_bg,sparse_super,large_file,huge_file,extra_isize"

// makeDisk returns the content of protocol.DiskFile.
func makeDisk(ctx context.Context, dir string) ([]byte, error) {
	name := filepath.Join(dir, "disk.ext4")
	_ = os.Remove(name)
	defer os.Remove(name)
	args := []string{"-q", "-F", "-t", "ext4", "-O", diskFeatures, "-b", strconv.Itoa(protocol.DiskBlock), "-m", "0", name, strconv.Itoa(protocol.DiskSize>>10) + "K"}
	if out, err := exec.CommandContext(ctx, "mke2fs", args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mke2fs: %w\n%s", err, out)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return sparse(content), nil
}

// sparse leaves out the blocks of zeros.
func sparse(content []byte) (blocks []byte) {
	zeros := make([]byte, protocol.DiskBlock)
	for at := 0; at < len(content); at += protocol.DiskBlock {
		if block := content[at : at+protocol.DiskBlock]; !bytes.Equal(block, zeros) {
			blocks = binary.LittleEndian.AppendUint64(blocks, uint64(at))
			blocks = append(blocks, block...)
		}
	}
	return blocks
}
