package report

import "slices"

// barriers are the floors of no backend in particular, or of one in another way.
var barriers = []string{"futex (C)", "spin (C)", "epoll+read (C)", "io_uring-oneshot (C)"}

// isLibrary tells the rows of the library, in any variant.
func isLibrary(row string) bool { return floorOf(row) != "" }

// isFloor tells the rows that only show a limit. An event loop that this package
// does not know is none.
func isFloor(row string) bool {
	for _, floor := range floors {
		if row == floor {
			return true
		}
	}
	return slices.Contains(barriers, row)
}

// isOpponent tells other event loops, and what a Go program would use instead.
func isOpponent(row string) bool { return !isLibrary(row) && !isFloor(row) }
