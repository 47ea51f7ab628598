package uring

import (
	"errors"
	"math/bits"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"
)

// Codes are the operations that a kernel has.
type Codes [4]uint64

// Has reports whether opcode is one of them.
func (c *Codes) Has(opcode uint8) bool { return c[opcode/64]>>(opcode%64)&1 != 0 }

func (c *Codes) add(opcode uint8) { c[opcode/64] |= 1 << (opcode % 64) }

// probe is struct io_uring_probe with room for all operations.
type probe struct {
	last, count uint8
	_           [14]byte
	operations  [256]struct {
		opcode, _ uint8
		flags     uint16
		_         uint32
	}
}

const supported = 1 << 0 // in probe.operations.flags

// Probe asks the kernel for its operations. One before Linux 5.6 does not know the question, and
// has those that 5.1 began with.
func (r *Ring) Probe() (*Codes, error) {
	var p probe
	err := abi.IOURingRegister(r.fd, abi.IORING_REGISTER_PROBE, unsafe.Pointer(&p), uint32(len(p.operations)))
	codes := new(Codes)
	switch {
	case errors.Is(err, unix.EINVAL):
		for _, opcode := range []uint8{abi.IORING_OP_NOP, abi.IORING_OP_READV, abi.IORING_OP_WRITEV, abi.IORING_OP_FSYNC, abi.IORING_OP_POLL_ADD} {
			codes.add(opcode)
		}
		return codes, nil
	case err != nil:
		return nil, err
	}
	for i := range p.operations[:p.count] {
		if o := &p.operations[i]; o.flags&supported != 0 {
			codes.add(o.opcode)
		}
	}
	return codes, nil
}

// bigEndian reports whether the first byte of a number is its highest.
var bigEndian = *(*byte)(unsafe.Pointer(&[]uint16{1}[0])) == 0

// PollEvents puts the events of a poll in the order that the kernel wants: on a big-endian
// machine its halves change places.
func PollEvents(events uint32) uint32 {
	if bigEndian {
		return bits.RotateLeft32(events, 16)
	}
	return events
}
