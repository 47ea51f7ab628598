package polling

import (
	_ "embed"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// traffic returns when the next event comes, given when the loop was done with the
// one before, and false after the last one.
type traffic func(done time.Duration) (at time.Duration, ok bool)

// after is traffic that answers: each event comes a gap after the loop was done
// with the one before.
func after(n int, gap func(i int) time.Duration) func() traffic {
	return func() traffic {
		i := -1
		return func(done time.Duration) (time.Duration, bool) {
			i++
			return done + gap(i), i < n
		}
	}
}

func every(n int, gap time.Duration) func() traffic {
	return after(n, func(int) time.Duration { return gap })
}

// at is traffic that does not care what the loop does.
func at(times func() []time.Duration) func() traffic {
	return func() traffic {
		left := times()
		return func(time.Duration) (time.Duration, bool) {
			if len(left) == 0 {
				return 0, false
			}
			t := left[0]
			left = left[1:]
			return t, true
		}
	}
}

// gapped are the points in time that lie gaps apart.
func gapped(n int, gap func(i int) time.Duration) []time.Duration {
	times := make([]time.Duration, n)
	var t time.Duration
	for i := range times {
		t += gap(i)
		times[i] = t
	}
	return times
}

func poisson(n int, mean time.Duration) func() traffic {
	return at(func() []time.Duration { return poissonTimes(n, mean) })
}

func poissonTimes(n int, mean time.Duration) []time.Duration {
	random := rand.New(rand.NewPCG(1, uint64(mean)))
	return gapped(n, func(int) time.Duration { return time.Duration(float64(mean) * random.ExpFloat64()) })
}

// merged are several sources, for as long as all of them have something.
func merged(sources ...[]time.Duration) func() traffic {
	return at(func() []time.Duration {
		end := sources[0][len(sources[0])-1]
		for _, s := range sources {
			end = min(end, s[len(s)-1])
		}
		all := slices.Concat(sources...)
		slices.Sort(all)
		n, _ := slices.BinarySearch(all, end)
		return all[:n]
	})
}

func steady(n int, gap time.Duration) []time.Duration {
	return gapped(n, func(int) time.Duration { return gap })
}

// phases alternates: n gaps of one kind, m of another.
func phases(n int, one time.Duration, m int, other time.Duration) func(i int) time.Duration {
	return func(i int) time.Duration {
		if i%(n+m) < n {
			return one
		}
		return other
	}
}

// wave rises and falls evenly.
func wave(from, to time.Duration, period int) func(i int) time.Duration {
	return func(i int) time.Duration {
		up := min(i%period, period-i%period)
		return from + (to-from)*time.Duration(up)/time.Duration(period/2)
	}
}

func uniform(n int, from, to time.Duration) func() traffic {
	random := rand.New(rand.NewPCG(2, uint64(to)))
	return after(n, func(int) time.Duration { return from + time.Duration(random.Int64N(int64(to-from))) })
}

//go:embed testdata/gaps.txt
var recordings string

// recorded is live traffic; testdata/gaps.txt says where it comes from.
func recorded(name string) func() traffic {
	for _, line := range strings.Split(recordings, "\n") {
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] == name+":" {
			return after(len(fields)-1, func(i int) time.Duration {
				ns, err := strconv.Atoi(fields[1+i%(len(fields)-1)])
				if err != nil {
					panic(err)
				}
				return time.Duration(ns)
			})
		}
	}
	panic("no recording " + name)
}

const stopsAfter = 500 // events, in "stops"

var traces = []struct {
	name string
	make func() traffic
}{
	{"constant 0", every(2000, 0)},
	{"constant 5 µs", every(2000, 5*µs)},
	{"constant 20 µs", every(2000, 20*µs)},
	{"constant 30 µs", every(2000, 30*µs)},
	{"constant 200 µs", every(2000, 200*µs)},
	{"constant 1 ms", every(2000, time.Millisecond)},
	{"constant 10 ms", every(500, 10*time.Millisecond)},
	{"20 µs, 1 in 10: 100 µs", after(4000, phases(9, 20*µs, 1, 100*µs))},
	{"bursts of 16, 500 µs apart", after(4000, phases(15, 3*µs, 1, 500*µs))},
	{"Poisson, mean 10 µs", poisson(10000, 10*µs)},
	{"Poisson, mean 30 µs", poisson(10000, 30*µs)},
	{"Poisson, mean 100 µs", poisson(10000, 100*µs)},
	{"Poisson, mean 1 ms", poisson(5000, time.Millisecond)},
	{"on/off: 200 × 15 µs, 20 × 2 ms", after(4400, phases(200, 15*µs, 20, 2*time.Millisecond))},
	{"two sources: 25 µs and 1 ms", merged(steady(10000, 25*µs), steady(250, time.Millisecond+7*µs))},
	{"two sources: 300 µs, Poisson 300 µs", merged(steady(4000, 300*µs), poissonTimes(4000, 300*µs))},
	{"pairs 4 µs apart, every 300 µs", after(4000, phases(1, 4*µs, 1, 300*µs))},
	{"stops: 500 × 20 µs, then 10 ms", after(700, phases(stopsAfter, 20*µs, 200, 10*time.Millisecond))},
	{"5 and 200 µs in turns", after(4000, phases(1, 5*µs, 1, 200*µs))},
	{"20 and 200 µs in turns", after(4000, phases(1, 20*µs, 1, 200*µs))},
	{"2 × 10 µs, 1 × 100 µs", after(4000, phases(2, 10*µs, 1, 100*µs))},
	{"1 × 10 µs, 2 × 100 µs", after(4000, phases(1, 10*µs, 2, 100*µs))},
	{"on/off: 50 × 15 µs, 50 × 2 ms", after(4000, phases(50, 15*µs, 50, 2*time.Millisecond))},
	{"10 to 60 µs, 1 µs a step", after(4000, func(i int) time.Duration { return 10*µs + time.Duration(i%50)*µs })},
	{"10 to 60 µs and back, 1 µs a step", after(4000, wave(10*µs, 60*µs, 100))},
	{"10 to 60 µs and back, 0.2 µs a step", after(4000, wave(10*µs, 60*µs, 500))},
	{"10 to 60 µs, uniform", uniform(4000, 10*µs, 60*µs)},
	{"20 to 40 µs, uniform", uniform(4000, 20*µs, 40*µs)},
	{"doubling: 1 to 512 µs", after(4000, func(i int) time.Duration { return µs << (i % 10) })},
	{"doubling: 1 to 512 µs, 30 times each", after(6000, func(i int) time.Duration { return µs << (i / 30 % 10) })},
	{"recorded: echo", recorded("echo")},
	{"recorded: requests", recorded("requests")},
}
