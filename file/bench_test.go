//go:build linux

package file

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
)

// BenchmarkRead reads blocks of 4 KiB at random places of a file of 64 MiB, from the page cache or, with
// O_DIRECT, from the disk. cpu-ns/op is the CPU time of the whole process.
func BenchmarkRead(b *testing.B) {
	name := benchFile(b)
	for _, v := range variants() {
		for _, depth := range []int{1, 16, 64} {
			b.Run(v.String()+",depth="+strconv.Itoa(depth), func(b *testing.B) { benchRead(b, v, name, depth) })
		}
	}
}

func benchFile(b *testing.B) (name string) {
	name = filepath.Join(b.TempDir(), "file")
	if err := os.WriteFile(name, patterned(64<<20, 0, 1), 0o600); err != nil {
		b.Fatal(err)
	}
	return name
}

func benchRead(b *testing.B, v variant, name string, depth int) {
	flags := os.O_RDONLY
	if v.direct {
		flags |= unix.O_DIRECT
	}
	bench(b, v, name, flags, depth, (*File).Read)
}

// bench has depth requests under way all the time, b.N in all.
func bench(b *testing.B, v variant, name string, flags, depth int, submit func(*File, *Request) error, opts ...Option) {
	loop, err := aio.New(aio.WithBackend(v.backend), aio.WithMode(v.mode))
	if errors.Is(err, backend.ErrUnavailable) {
		b.Skip(err)
	}
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	must(err)
	defer loop.Close()
	f, err := Open(loop, name, flags, append(opts, WithEngine(v.engine))...)
	must(err)
	defer f.Close()
	warm(b, name)
	random := rand.New(rand.NewPCG(1, 2))
	left, under := b.N, 0
	next := func(r *Request) {
		if left == 0 {
			return
		}
		left--
		under++
		r.Offset = random.Int64N(64<<20/4096) * 4096
		must(submit(f, r))
	}
	b.ResetTimer()
	start := cpuTime()
	for range min(depth, b.N) {
		next(&Request{Buf: f.Buffer(4096), Done: func(r *Request) {
			under--
			if r.N != 4096 {
				b.Fatal(r.N, r.Err)
			}
			next(r)
		}})
	}
	for under > 0 {
		if _, err := loop.Poll(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpuTime()-start)/float64(b.N), "cpu-ns/op")
}

// BenchmarkWrite writes blocks of 4 KiB at random places of a file of 64 MiB that is in the page cache.
func BenchmarkWrite(b *testing.B) {
	name := benchFile(b)
	for _, v := range variants() {
		for _, depth := range []int{1, 16} {
			run := func(how string, opts ...Option) {
				b.Run(v.String()+how+",depth="+strconv.Itoa(depth), func(b *testing.B) {
					bench(b, v, name, os.O_WRONLY, depth, (*File).Write, opts...)
				})
			}
			if v.direct {
				continue
			}
			run("")
			if v.engine == EngineAuto {
				run(",in the loop", WithWaitingWrites())
			}
		}
	}
}

// warm brings the file into the page cache.
func warm(b *testing.B, name string) {
	if _, err := os.ReadFile(name); err != nil {
		b.Fatal(err)
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
