//go:build linux

package file

// way is how one request is done.
type way uint8

const (
	inLoop   way = iota // a call that needs no waiting, within the call that submits the request
	byRing              // an operation of the loop's io_uring
	byAIO               // Linux AIO
	byThread            // a blocking call on the thread pool
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
)

var opNames = [...]string{opRead: "read", opWrite: "write", opSync: "sync", opSyncData: "sync of data", opZero: "zero", opDiscard: "discard", opExtent: "extent"}

// moves reports whether buffers are read or written.
func (o op) moves() bool { return o == opRead || o == opWrite }

// syncs reports whether what was written before becomes durable.
func (o op) syncs() bool { return o == opSync || o == opSyncData }

// changes reports whether the contents of the file change.
func (o op) changes() bool { return o == opWrite || o == opZero || o == opDiscard }

// situation is what the way of a request depends on, and nothing else does.
type situation struct {
	op      op
	engine  Engine // the live one
	auto    bool   // it was chosen by EngineAuto
	direct  bool   // O_DIRECT
	now     bool   // a call that needs no waiting may well succeed
	size    int64  // bytes
	pending int    // requests of the file that wait for the kernel
	native  bool   // the ring has this operation
}

// Up to inLoopSize bytes a copy does not hold up the loop: 64 KiB take some 10 µs. From
// inLoopPending requests on that wait for the kernel at the same time, a ring is the better way.
const (
	inLoopSize    = 64 << 10
	inLoopPending = 4
)

// first is how a request is begun.
func (s situation) first() way {
	if s.auto && s.op.moves() && !s.direct && s.now && s.size <= inLoopSize && (s.engine != EngineIOUring || s.pending < inLoopPending) {
		return inLoop
	}
	return s.next()
}

// next is how a request goes on that could not be done in the loop.
func (s situation) next() way {
	switch {
	case s.engine == EngineIOUring && s.native && !s.blocksWorkers():
		return byRing
	case s.engine == EngineLinuxAIO && s.op.moves():
		return byAIO
	}
	return byThread
}

// blocksWorkers reports whether a ring would only hand the request to a thread of the kernel's,
// which costs more than one of the pool's: a buffered write.
func (s situation) blocksWorkers() bool { return s.auto && s.op == opWrite && !s.direct }
