/*
 * What the peers that are event loops share: the scenarios, in terms of a few operations
 * that each library provides.
 */
#ifndef LOOP_H
#define LOOP_H

#include "peer.h"

/* One loop and its thread. First member of the library's own struct. */
struct side {
	int index;
	struct side *other;
};

struct ops {
	void (*open)(struct side *);
	void (*wake)(struct side *);       /* from any thread: woken(side) is called on its own */
	void (*run)(struct side *);        /* until stop */
	void (*stop)(struct side *);       /* from a callback */
	void (*turn)(struct side *);       /* one turn, does not block */
	void (*watch)(struct side *, int fd); /* heard(side, fd) is called when fd is readable */
	void (*idle)(struct side *, int fd);  /* watches fd too, which never is */
	void (*timers)(struct side *, int count); /* makes timers, far from due */
	void (*rearm)(struct side *, int which, double seconds); /* moves one; if it is due,
	                                    * the next turn calls fired(side) */
};

static struct bench bench;
static const struct ops *ops;
static long runs; /* of callbacks, on the one thread of the self scenarios */

/* What the library's callback calls. */
static inline void woken(struct side *me)
{
	if (bench_is(&bench, "pingpong")) {
		/* Thread 0 wakes the other once more at the end: it has to end as well. */
		bool go_on = me->index == 0 ? bench_tick(&bench)
		                            : !atomic_load_explicit(&bench.over, memory_order_relaxed);
		if (go_on || me->index == 0)
			ops->wake(me->other);
		if (!go_on)
			ops->stop(me);
	} else if (bench_is(&bench, "wake")) {
		if (atomic_load_explicit(&bench.over, memory_order_relaxed))
			ops->stop(me);
		else
			bench_hear(&bench);
	} else {
		runs++;
	}
}

static inline void heard(struct side *me, int fd)
{
	uint64_t count;
	if (read(fd, &count, sizeof count) != sizeof count)
		die("read from eventfd");
	woken(me);
}

/* lateness: sets the timer, and counts how late it is. Loops that set timers from the
 * begin of their iteration are early by what has passed of it: that is no lateness. */
static inline void set_timer(struct side *me)
{
	bench.due = clock_ns(CLOCK_MONOTONIC) + (uint64_t)bench.gap_us * 1000;
	ops->rearm(me, 0, bench.gap_us / 1e6);
}

static inline void timer_due(struct side *me)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	if (bench_take(&bench, now, now > bench.due ? now - bench.due : 0))
		set_timer(me);
	else
		ops->stop(me);
}

static inline void fired(struct side *me)
{
	if (bench_is(&bench, "lateness"))
		timer_due(me);
	else
		runs++;
}

static inline void *loop_pingpong(void *arg)
{
	struct side *me = arg;
	pin(bench.cpu[me->index]);
	ops->open(me);
	pthread_barrier_wait(&bench.ready);
	if (me->index == 0) {
		bench_tick(&bench);
		ops->wake(me->other);
	}
	ops->run(me);
	return NULL;
}

static inline void loop_wake_side(void *side)
{
	ops->wake(side);
}

static inline void *loop_wake(void *arg)
{
	struct side *me = arg;
	pin(bench.cpu[me->index]);
	if (me->index == 0)
		ops->open(me);
	pthread_barrier_wait(&bench.ready);
	if (me->index == 0)
		ops->run(me);
	else
		bench_produce(&bench, loop_wake_side, me->other);
	return NULL;
}

/* A callback that did not run would make a line too good. */
static inline void expect_runs(long want)
{
	if (runs != want) {
		fprintf(stderr, "the callback ran %ld times for %ld operations\n", runs, want);
		exit(1);
	}
}

static inline void *loop_self_bh(void *arg)
{
	struct side *me = arg;
	long wakes = 0;
	pin(bench.cpu[0]);
	ops->open(me);
	while (bench_tick(&bench))
		for (int i = 0; i < bench.batch; i++) {
			ops->wake(me);
			for (wakes++; runs < wakes; )
				ops->turn(me);
		}
	expect_runs(wakes);
	return NULL;
}

static inline void *loop_notifier(void *arg)
{
	struct side *me = arg;
	long sets = 0;
	const uint64_t one = 1;
	pin(bench.cpu[0]);
	ops->open(me);
	int efd = idle_fd();
	ops->watch(me, efd);
	double before = heap_bytes();
	for (int i = 0; i < bench.idle; i++)
		ops->idle(me, idle_fd());
	bench.idle_bytes = heap_bytes() - before;
	while (bench_tick(&bench))
		for (int i = 0; i < bench.batch; i++) {
			if (write(efd, &one, sizeof one) != sizeof one)
				die("write to eventfd");
			for (sets++; runs < sets; )
				ops->turn(me);
		}
	expect_runs(sets);
	return NULL;
}

/* A small generator: which timer, and for when. */
static inline unsigned next_random(unsigned *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* With -timers 1, always the same. A timer that has fired is far from due again. */
static inline void *loop_timer(void *arg)
{
	struct side *me = arg;
	unsigned random = 1;
	long armed = 0;
	pin(bench.cpu[0]);
	ops->open(me);
	if (!bench.timers)
		bench.timers = 1;
	ops->timers(me, bench.timers);
	while (bench_tick(&bench))
		for (int i = 0; i < bench.batch; i++) {
			int which = (int)(next_random(&random) % (unsigned)bench.timers);
			ops->rearm(me, which, 0);
			for (armed++; runs < armed; )
				ops->turn(me);
			if (bench.timers > 1)
				ops->rearm(me, which, 1000);
		}
	expect_runs(armed);
	return NULL;
}

static inline void *loop_rearm(void *arg)
{
	struct side *me = arg;
	unsigned random = 1;
	pin(bench.cpu[0]);
	ops->open(me);
	if (!bench.timers)
		bench.timers = 1;
	ops->timers(me, bench.timers);
	while (bench_tick(&bench))
		for (int i = 0; i < bench.batch; i++) {
			int which = (int)(next_random(&random) % (unsigned)bench.timers);
			ops->rearm(me, which, 1000 + next_random(&random) % 1000);
		}
	return NULL;
}

static inline void *loop_lateness(void *arg)
{
	struct side *me = arg;
	pin(bench.cpu[0]);
	ops->open(me);
	ops->timers(me, 1);
	bench_start(&bench);
	set_timer(me);
	ops->run(me);
	return NULL;
}

/* The rest of main: side[0] and side[1] are as large as the library says. */
static inline void loop_main(struct side *side0, struct side *side1, const struct ops *o)
{
	void *(*two)(void *) = NULL, *(*one)(void *) = NULL;
	if (bench_is(&bench, "pingpong"))
		two = loop_pingpong;
	else if (bench_is(&bench, "wake"))
		two = loop_wake;
	else if (bench_is(&bench, "self-bh"))
		one = loop_self_bh;
	else if (bench_is(&bench, "self-notifier"))
		one = loop_notifier;
	else if (bench_is(&bench, "self-timer"))
		one = loop_timer;
	else if (bench_is(&bench, "rearm-timer"))
		one = loop_rearm;
	else if (bench_is(&bench, "lateness"))
		one = loop_lateness;
	else
		unavailable("%s %s has no scenario %s", bench.peer, bench.mode, bench.scenario);

	ops = o;
	side1->index = 1;
	side0->other = side1;
	side1->other = side0;
	raise_limit();
	bench_prepare(&bench);
	if (two)
		bench_two_threads(two, side0, side1);
	else
		bench_one_thread(one, side0);
	bench_report(&bench);
}

#endif
