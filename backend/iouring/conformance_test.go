package iouring

import (
	"testing"

	abi "github.com/iceber/iouring-go/syscall"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/backendtest"
	"github.com/aioloop/aioloop/internal/feature"
	"github.com/aioloop/aioloop/internal/testkit/guest"
	"github.com/aioloop/aioloop/internal/uring"
)

func TestConformance(t *testing.T) {
	backendtest.Test(t, func() (backend.Poller, error) { return New() })
}

// variant is an older kernel, or a more cramped one, as far as this one can play it.
type variant struct {
	name  string
	alter func(*config)
}

// The code for older kernels runs on no kernel that a developer has.
var variants = []variant{
	{"plain", func(c *config) { c.flags = 0 }}, // 5.11 to 5.18
	{"linux510", func(c *config) { c.flags, c.multishot, c.extArg = 0, false, false }},
	{"coop_taskrun", func(c *config) { c.flags = coopTaskrun }},   // 5.19 and 6.0; trap 4
	{"unbound", func(c *config) { c.flags, c.unbound = 0, true }}, // park mode
	{"without_multishot", func(c *config) { c.multishot = false }},
	{"without_ext_arg", func(c *config) { c.extArg = false }},
	{"four_entries", func(c *config) { c.sq, c.cq = 4, 8 }},
	{"four_entries_linux510", func(c *config) { c.sq, c.cq, c.flags, c.multishot, c.extArg = 4, 8, 0, false, false }},
	{"one_entry_coop_taskrun", func(c *config) { c.sq, c.cq, c.flags = 1, 8, coopTaskrun }},
}

const coopTaskrun = abi.IORING_SETUP_COOP_TASKRUN | abi.IORING_SETUP_TASKRUN_FLAG

func (v variant) open() (backend.Poller, error) {
	c := detect()
	v.alter(&c)
	return open(c)
}

func TestConformanceOfVariants(t *testing.T) {
	for i, v := range variants {
		if !guest.Runs(i, 6) {
			continue
		}
		t.Run(v.name, func(t *testing.T) { backendtest.TestBriefly(t, v.open) })
	}
}

// A kernel that lacks what the full speed needs must not pass unnoticed.
func TestNewUsesWhatTheKernelHas(t *testing.T) {
	for _, f := range []*feature.Feature{feature.DeferTaskrun, feature.MultishotPoll, feature.ExtArg} {
		if _, err := f.Check(); err != nil {
			t.Skipf("skipped: %v", err)
		}
	}
	p, err := New()
	must(t, err) // else every other test would be skipped
	defer p.Close()
	if !p.ring.SetUp(uring.SetupSingleIssuer|uring.SetupDeferTaskrun|abi.IORING_SETUP_TASKRUN_FLAG) || !p.multishot || !p.extArg {
		t.Errorf("New does without: flags %#x, multishot %v, extArg %v", p.config.flags, p.multishot, p.extArg)
	}
}
