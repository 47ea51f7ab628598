package polling

// histogram counts samples by bucket. Older ones count less: all weights are halved when
// they reach memory samples, so that the last memory/2 to memory samples count.
type histogram struct {
	weights [buckets + 1]uint16 // the last for times beyond Max
	total   uint16
}

const (
	sampleWeight = 1 << 9
	memory       = 32
)

// add counts n samples, at most memory.
func (h *histogram) add(bucket, n int) {
	h.weights[bucket] += uint16(n) * sampleWeight
	h.total += uint16(n) * sampleWeight
	for h.total > memory*sampleWeight {
		h.halve(0, len(h.weights))
	}
}

// halve halves the weights of the buckets from one to before another.
func (h *histogram) halve(from, to int) {
	for i, w := range h.weights[from:to] {
		h.weights[from+i] = w / 2
		h.total -= w - w/2
	}
}

// majority knows whether most of the last 256 to 512 events were found. It takes some more
// than half, and more to be reached than to stay, so that it does not come and go.
type majority struct {
	found, events int
	reached       bool
}

const majorityMemory = 512

// count counts events that were there immediately, and one that was found or not.
func (m *majority) count(immediate int, found bool) {
	m.found += immediate
	m.events += immediate + 1
	if found {
		m.found++
	}
	if m.events > majorityMemory {
		m.found /= 2
		m.events /= 2
	}
	needed := m.events/2 + m.events/32
	if !m.reached {
		needed += m.events / 32
	}
	m.reached = m.found >= needed
}
