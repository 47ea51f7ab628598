//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/kernels/protocol"
)

// loadModules loads modules of the kernel and those that they depend on. They stay.
func loadModules(names []string) error {
	if len(names) == 0 {
		return nil
	}
	b, err := os.ReadFile(protocol.ModuleOrder)
	if err != nil {
		return err
	}
	var order map[string][]string
	if err := json.Unmarshal(b, &order); err != nil {
		return fmt.Errorf("%s: %w", protocol.ModuleOrder, err)
	}
	for _, name := range names {
		name = strings.TrimSuffix(name, protocol.OptionalModule) // no order is known of one that is not there
		for _, module := range order[strings.ReplaceAll(name, "-", "_")] {
			if err := loadModule(module); err != nil {
				return fmt.Errorf("module %s: %w", module, err)
			}
		}
	}
	return nil
}

// parameters of modules: ram disks are of the size of the filesystem, in KiB.
var parameters = map[string]string{"brd": "rd_nr=2 rd_size=" + strconv.Itoa(protocol.DiskSize>>10)}

func loadModule(name string) error {
	content, err := os.ReadFile(protocol.ModuleFile(name))
	if err != nil {
		return err
	}
	if err := unix.InitModule(content, parameters[name]); err != nil && err != unix.EEXIST {
		return err
	}
	return nil
}
