//go:build linux

package file

import "math"

// way is how one request is done.
type way uint8

const (
	inLoop   way = iota // a call within the call that submits the request
	byRing              // an operation of the loop's io_uring
	byAIO               // Linux AIO
	byThread            // a blocking call on the thread pool
	inLine              // the same, together with other writes of the file
)

// op is what a request does.
type op uint8

const (
	opRead op = iota
	opWrite
	opSync
	opSyncData
	opZero
	opDiscard
	opExtent

	ops // how many there are
)

var opNames = [ops]string{opRead: "read", opWrite: "write", opSync: "sync", opSyncData: "sync of data", opZero: "zero", opDiscard: "discard", opExtent: "extent"}

// moves reports whether buffers are read or written.
func (o op) moves() bool { return o == opRead || o == opWrite }

// syncs reports whether what was written before becomes durable.
func (o op) syncs() bool { return o == opSync || o == opSyncData }

// changes reports whether the contents of the file change.
func (o op) changes() bool { return o == opWrite || o == opZero || o == opDiscard }

// situation is what the route of the requests of one kind depends on, and nothing else does.
type situation struct {
	op     op
	engine Engine // the live one
	auto   bool   // it was chosen by EngineAuto
	direct bool   // O_DIRECT
	device bool   // a block device
	native bool   // the ring has this operation
	waits  bool   // WithWaitingWrites
	synced bool   // O_DSYNC: each write waits for the device
}

// route is how the requests of one kind are done. Those of at most inLoopSize bytes begin with a call in the loop,
// as long as fewer than inLoop of the file's requests wait for the kernel.
type route struct {
	inLoop int
	next   way // that of others, and of what the call in the loop has not done
}

// Up to inLoopSize bytes a copy does not hold up the loop: 64 KiB take some 10 µs. From
// inLoopPending requests on that wait for the kernel at the same time, a ring is the better way.
const (
	inLoopSize    = 64 << 10
	inLoopPending = 4
)

func (s situation) route() route { return route{s.inLoop(), s.next()} }

// inLoop is route.inLoop.
func (s situation) inLoop() int {
	switch {
	case s.op == opWrite && s.synced: // XFS takes it with NOWAIT, and waits all the same
		return 0
	case s.op == opWrite && s.waits && !s.direct:
		return math.MaxInt
	case !s.auto || !s.op.moves() || s.direct:
		return 0
	case s.engine == EngineIOUring:
		return inLoopPending
	}
	return math.MaxInt
}

// next is route.next. A ring would only hand a buffered write to a thread of the kernel's, which costs
// more than one of the pool's.
func (s situation) next() way {
	buffered := s.op == opWrite && !s.direct
	switch {
	case s.engine == EngineIOUring && s.native && !(s.auto && buffered):
		return byRing
	case s.engine == EngineLinuxAIO && s.op.moves():
		return byAIO
	case buffered && !s.device:
		return inLine
	}
	return byThread
}

// first is how a request is begun: size is in bytes, pending is how many others wait for the kernel.
func (t *route) first(l *luck, size int64, pending int) way {
	if pending < t.inLoop && size <= inLoopSize && l.promising() {
		return inLoop
	}
	return t.next
}
