#!/bin/sh
# Compares the benchmarks of package aio with those of a release, for information: it
# never fails because of a figure. Times on another machine, or on this one while it is
# busy, say little; allocations do.
#
#	bench/baseline/compare.sh            with the latest release
#	bench/baseline/compare.sh -record V  measure, and keep it as that of version V
set -eu
cd "$(dirname "$0")/../.."
GO=${GO:-go}
COUNT=${COUNT:-6}
BENCH='^(BenchmarkScheduleAndRun|BenchmarkNotifyAwake|BenchmarkTimerRun|BenchmarkNotifierDispatch)$'

measure() {
	"$GO" test -run '^$' -bench "$BENCH" -benchtime 20000x -count "$COUNT" -benchmem ./aio
}

if [ "${1:-}" = -record ]; then
	measure | grep -E '^(goos|goarch|pkg|cpu|Benchmark)' >"bench/baseline/$2.txt"
	exit
fi
latest=$(ls bench/baseline/*.txt 2>/dev/null | sort -V | tail -1)
if [ -z "$latest" ]; then
	echo "bench/baseline has no figures to compare with"
	exit
fi
now=$(mktemp -d)
trap 'rm -rf "$now"' EXIT
measure >"$now/now.txt" || { cat "$now/now.txt"; echo "the benchmarks do not run: nothing is compared"; exit; }
GOWORK=off "$GO" tool -modfile=internal/tools/go.mod benchstat "$(basename "$latest" .txt)=$latest" "now=$now/now.txt" || echo "benchstat does not run: nothing is compared"
