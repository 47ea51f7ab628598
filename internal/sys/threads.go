package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// EachThread calls f with the number of each thread of the process. It goes through the
// list until it finds none that is new, because f may run beside one that starts another.
// A thread that has ended (f returns ESRCH or fs.ErrNotExist) is no failure; any other
// error ends the walk.
func EachThread(f func(tid int) error) error {
	for seen := map[string]bool{}; ; {
		entries, err := os.ReadDir("/proc/self/task") // proc_pid_task(5)
		if err != nil {
			return fmt.Errorf("the threads of the process: %w", err)
		}
		before := len(seen)
		for _, e := range entries {
			if seen[e.Name()] {
				continue
			}
			seen[e.Name()] = true
			tid, err := strconv.Atoi(e.Name())
			if err != nil {
				return err
			}
			if err := f(tid); err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if len(seen) == before {
			return nil
		}
	}
}
