package goroutine

// CallerPC returns where the function that calls it was called. That one must not be inlined. It
// costs about 1 ns: it reads the frame pointer.
func CallerPC() Place

// CallerPCAndCurrent is both in one call, which costs as much as one of them.
func CallerPCAndCurrent() (at Place, id ID)
