//go:build linux

package main

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aioloop/aioloop/internal/kernels/protocol"
)

// moduleTree is what a kernel's packages have under lib/modules: the path of each
// module, by its name. Debian's packages have no modules.dep, so dependencies are read
// from the modules.
type moduleTree map[string]string

func findModules(root string) (moduleTree, error) {
	tree := moduleTree{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if name, _, ok := strings.Cut(d.Name(), ".ko"); ok {
				tree[moduleName(name)] = path
			}
		}
		return err
	})
	return tree, err
}

// moduleName is how the kernel writes it: dm-flakey is dm_flakey.
func moduleName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// read returns a module's content, unpacked.
func (t moduleTree) read(ctx context.Context, name string) ([]byte, error) {
	path := t[name]
	switch filepath.Ext(path) {
	case ".ko":
		return os.ReadFile(path)
	case ".xz":
		return exec.CommandContext(ctx, "xz", "-dc", path).Output()
	case "":
		return nil, fmt.Errorf("the kernel's packages have no module %s", name)
	}
	return nil, fmt.Errorf("%s: no program for this compression", filepath.Base(path))
}

// modulePacker writes modules to an initramfs, each one once.
type modulePacker struct {
	tree  moduleTree
	c     *cpioWriter
	order map[string][]string // what has been packed: what to load for a module, itself last
}

// packModules writes an initramfs with the modules and all that they depend on.
func packModules(ctx context.Context, w io.Writer, tree moduleTree, names []string) error {
	p := &modulePacker{tree: tree, c: newCpioWriter(w), order: map[string][]string{}}
	for _, name := range names {
		name, optional := strings.CutSuffix(name, protocol.OptionalModule)
		if optional && tree[moduleName(name)] == "" {
			continue
		}
		if _, err := p.pack(ctx, moduleName(name)); err != nil {
			return err
		}
	}
	b, err := json.Marshal(p.order)
	if err != nil {
		return err
	}
	p.c.file(protocol.ModuleOrder, 0o644, b)
	return p.c.close()
}

// pack returns what to load for a module.
func (p *modulePacker) pack(ctx context.Context, name string) (order []string, err error) {
	if order, ok := p.order[name]; ok {
		return order, nil
	}
	content, err := p.tree.read(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", name, err)
	}
	needs, err := dependencies(content)
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", name, err)
	}
	for _, n := range needs {
		first, err := p.pack(ctx, n)
		if err != nil {
			return nil, err
		}
		for _, f := range first {
			if !slices.Contains(order, f) {
				order = append(order, f)
			}
		}
	}
	p.c.file(protocol.ModuleFile(name), 0o644, content)
	p.order[name] = append(order, name)
	return p.order[name], nil
}

// dependencies reads the entry "depends=a,b" of a module's section .modinfo.
func dependencies(module []byte) (names []string, err error) {
	f, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("it has no section .modinfo")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for entry := range bytes.SplitSeq(info, []byte{0}) {
		if list, ok := strings.CutPrefix(string(entry), "depends="); ok && list != "" {
			for name := range strings.SplitSeq(list, ",") {
				names = append(names, moduleName(name))
			}
		}
	}
	return names, nil
}
