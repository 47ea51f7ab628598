#!/bin/sh
# run.sh PROGRAM...: every peer in turn, ROUNDS times over (A B A B, so that what drifts
# drifts for all), then a table of medians. The raw lines stay in bin/results.jsonl.
set -eu
cd "$(dirname "$0")"
rounds=${ROUNDS:-3} n=${N:-50000}
results=bin/results.jsonl
: >"$results"

# One measurement. A mechanism that this machine lacks is named, any other failure ends the run.
peer() {
	program=$1
	shift
	case " $programs " in *" $program "*) ;; *) return 0 ;; esac
	status=0
	bin/"$program" "$@" >>"$results" || status=$?
	[ "$status" -eq 0 ] || [ "$status" -eq 2 ] || exit "$status"
}

# The ping-pong of every peer, with the same options; the floor comes first.
pingpong() {
	for mode in futex io_uring epoll-et ppoll epoll io_uring-oneshot; do
		peer floor $mode "$@"
	done
	peer libev ev_async "$@"
	for mode in wakeup ready-time idle; do
		peer glib $mode "$@"
	done
	peer libuv uv_async "$@"
	peer gnet execute "$@"
}

programs=$*
round=0
while [ $round -lt "$rounds" ]; do
	round=$((round + 1))
	echo "round $round of $rounds" >&2
	pingpong -cpu 0 -n "$n"
	for mode in io_uring epoll-et io_uring-oneshot ppoll epoll; do
		peer floor $mode -scenario self-notifier -n $((n * 10))
	done
	for loop in "libev ev_async" "libuv uv_async" "glib ready-time"; do
		for scenario in self-bh self-notifier; do
			peer $loop -scenario $scenario -n $((n * 10))
		done
	done
	# Across CPUs a round trip takes some 50 us: fewer of them. Needs a second CPU.
	if [ "$(getconf _NPROCESSORS_ONLN)" -gt 1 ]; then
		pingpong -cpus 0,1 -n $((n / 5))
		peer floor spin -cpus 0,1 -n "$n"
	fi
done

awk -f table.awk "$results"
