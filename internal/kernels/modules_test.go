//go:build linux

package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aioloop/aioloop/internal/kernels/protocol"
)

// fakeModule is an object file with a section of that name.
func fakeModule(t *testing.T, section, content string) string {
	t.Helper()
	names := "\x00" + section + "\x00.shstrtab\x00"
	var h elf.Header64
	const header, entry = 64, 64
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	h.Type, h.Machine, h.Version, h.Ehsize = uint16(elf.ET_REL), uint16(elf.EM_X86_64), uint32(elf.EV_CURRENT), header
	h.Shoff, h.Shentsize, h.Shnum, h.Shstrndx = uint64(header+len(content)+len(names)), entry, 3, 2
	sections := []elf.Section64{
		{},
		{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: header, Size: uint64(len(content))},
		{Name: uint32(len(section)) + 2, Type: uint32(elf.SHT_STRTAB), Off: uint64(header + len(content)), Size: uint64(len(names))},
	}
	var b bytes.Buffer
	for _, part := range []any{h, []byte(content), []byte(names), sections} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// fakeModules is a tree in which a needs b and c, and b needs c.
func fakeModules(t *testing.T) moduleTree {
	t.Helper()
	root := t.TempDir()
	for file, depends := range map[string]string{"a-x.ko": "b-y,c", "sub/b-y.ko": "c", "sub/c.ko": "", "other.ko": ""} {
		info := "license=GPL\x00depends=" + depends + "\x00name=it\x00"
		put(t, filepath.Join(root, file), fakeModule(t, ".modinfo", info))
	}
	put(t, filepath.Join(root, "modules.order"), "text")
	put(t, filepath.Join(root, "odd.ko.lzo"), "text")
	put(t, filepath.Join(root, "empty.ko"), fakeModule(t, ".text", "code"))
	tree, err := findModules(root)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestPackModules(t *testing.T) {
	var b bytes.Buffer
	if err := packModules(t.Context(), &b, fakeModules(t), []string{"a-x", "c?", "none-of-it?"}); err != nil {
		t.Fatal(err)
	}
	names, content := readCpio(t, b.Bytes())
	if got := strings.Join(names, " "); strings.Count(got, ".ko") != 3 || strings.Contains(got, "other") {
		t.Errorf("it has packed %s", got)
	}
	var order map[string][]string
	if err := json.Unmarshal([]byte(content[strings.TrimPrefix(protocol.ModuleOrder, "/")]), &order); err != nil {
		t.Fatal(err)
	}
	for module, want := range map[string]string{"a_x": "c b_y a_x", "b_y": "c b_y", "c": "c"} {
		if got := strings.Join(order[module], " "); got != want {
			t.Errorf("%s: %q is loaded, want %q", module, got, want)
		}
		if content[strings.TrimPrefix(protocol.ModuleFile(module), "/")] == "" {
			t.Errorf("%s is not packed", module)
		}
	}
}

func TestPackModulesFails(t *testing.T) {
	for name, want := range map[string]string{
		"none": "have no module none", "odd": "compression", "empty": ".modinfo",
	} {
		err := packModules(t.Context(), &bytes.Buffer{}, fakeModules(t), []string{name})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

func TestModulesAreUnpacked(t *testing.T) {
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("skipped: needs xz")
	}
	path := filepath.Join(t.TempDir(), "a.ko")
	put(t, path, "the module")
	if out, err := exec.CommandContext(t.Context(), "xz", path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	tree, err := findModules(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tree.read(t.Context(), "a"); err != nil || string(got) != "the module" {
		t.Errorf("%q, %v", got, err)
	}
}
