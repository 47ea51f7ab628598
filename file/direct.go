//go:build linux

package file

import (
	"fmt"
	"io"
	"unsafe"

	"golang.org/x/sys/unix"
)

// alignment returns what O_DIRECT asks of offsets and lengths, and of addresses: what statx(2) says
// (Linux 6.1), else the size of a sector, else what suits all disks.
func alignment(fd int, device bool) (offsets, memory int64) {
	var stat unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &stat)
	if err == nil && stat.Mask&unix.STATX_DIOALIGN != 0 && stat.Dio_offset_align > 0 {
		return int64(stat.Dio_offset_align), int64(max(stat.Dio_mem_align, 1))
	}
	if device {
		if size, err := unix.IoctlGetInt(fd, unix.BLKSSZGET); err == nil && size > 0 {
			return int64(size), int64(size)
		}
	}
	return 4096, 4096
}

// aligned returns n bytes at an address that is a multiple of align, a power of two.
func aligned(n, align int) []byte {
	b := make([]byte, n+align)
	at := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & uintptr(align-1))
	return b[at : at+n : at+n]
}

// Buffer returns n bytes at an address that suits the file: with O_DIRECT requests with such a
// buffer are done without a copy.
func (f *File) Buffer(n int) []byte { return aligned(n, int(max(f.memory, 1))) }

// align makes a request fit what O_DIRECT asks for. What does not is read, or written, through a
// buffer of its own. A write to a part of a block would have to read the rest first, and could undo
// a write that goes on beside it: it is refused.
func (f *File) align(r *Request, o op) error {
	r.bounce = nil
	whole := r.Offset%f.offsets == 0 && r.left%f.offsets == 0
	if !whole && o == opWrite {
		return fmt.Errorf("with O_DIRECT the offset and the length of a write must be multiples of %d: %w", f.offsets, unix.EINVAL)
	}
	if whole && f.fit(r.vectors) || r.left == 0 {
		return nil
	}
	start := r.Offset - r.Offset%f.offsets
	end := r.Offset + r.left
	if rest := end % f.offsets; rest > 0 {
		end += f.offsets - rest
	}
	if end-start > maxBounce {
		return fmt.Errorf("with O_DIRECT more than %d bytes must be aligned, see File.Direct and File.Buffer: %w", maxBounce, unix.EINVAL)
	}
	r.bounce = aligned(int(end-start), int(f.memory))
	if o == opWrite {
		rest := r.bounce
		for _, v := range r.vectors {
			rest = rest[copy(rest, unsafe.Slice(v.Base, v.Len)):]
		}
	}
	r.position, r.left = start, end-start
	r.one[0] = vector(r.bounce)
	r.vectors = r.one[:1]
	return nil
}

// maxBounce is how much memory one request takes for data that is not aligned.
const maxBounce = 64 << 20

// fit reports whether the kernel takes the buffers as they are. From Linux 6.1 to 6.17 each length has to be a
// multiple of the block, and not only their sum.
func (f *File) fit(vectors []unix.Iovec) bool {
	block := max(f.memory, f.offsets)
	for i := range vectors {
		v := &vectors[i]
		if int64(uintptr(unsafe.Pointer(v.Base)))%f.memory != 0 || len(vectors) > 1 && int64(v.Len)%block != 0 {
			return false
		}
	}
	return true
}

// unbounce hands out what was read, and says how much that is.
func (f *File) unbounce(r *Request, err error) error {
	if r.op == opRead {
		want, skip := r.length(), r.Offset%f.offsets
		got := min(max(r.moved-skip, 0), want)
		data := r.bounce[skip : skip+got]
		for _, b := range r.buffers() {
			data = data[copy(b, data):]
		}
		r.N = got
		if err == io.EOF && got == want { // the block has ended, not what was asked for
			err = nil
		}
	}
	r.bounce = nil
	return err
}

// buffers returns the buffers of the maker.
func (r *Request) buffers() [][]byte {
	if r.Buffers != nil {
		return r.Buffers
	}
	return [][]byte{r.Buf}
}
