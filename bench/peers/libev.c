/*
 * libev: two threads, each in its own loop, wake each other with ev_async.
 */
#include "peer.h"

#include <ev.h>

struct side {
	ev_async async; /* first member: the callback's watcher is the side */
	struct ev_loop *loop;
	int index, answers;
	struct side *other;
};

static struct bench bench = { .peer = "libev" };

static void woken(struct ev_loop *loop, ev_async *w, int revents)
{
	struct side *me = (struct side *)w;
	(void)revents;

	bool go_on = me->index == 0 ? bench_tick(&bench) : --me->answers > 0;
	/* Thread 1 answers the last time too, thread 0 has nobody left to wake. */
	if (go_on || me->index == 1)
		ev_async_send(me->other->loop, &me->other->async);
	if (!go_on)
		ev_break(loop, EVBREAK_ALL);
}

static void *run(void *arg)
{
	struct side *me = arg;
	pin(bench.cpu[me->index]);
	me->loop = ev_loop_new(EVBACKEND_EPOLL);
	if (!me->loop)
		unavailable("libev's epoll backend is unavailable");
	ev_async_init(&me->async, woken);
	ev_async_start(me->loop, &me->async);
	me->answers = bench_rounds(&bench);
	pthread_barrier_wait(&bench.ready);

	if (me->index == 0) {
		bench_tick(&bench);
		ev_async_send(me->other->loop, &me->other->async);
	}
	ev_run(me->loop, 0);
	return NULL;
}

int main(int argc, char **argv)
{
	static struct side side[2];

	bench_parse(&bench, argc, argv, "ev_async");
	if (strcmp(bench.mode, "ev_async") || strcmp(bench.scenario, "pingpong"))
		usage(argv[0], "ev_async");
	snprintf(bench.version, sizeof bench.version, "%d.%d", ev_version_major(), ev_version_minor());
	bench_prepare(&bench);
	for (int i = 0; i < 2; i++) {
		side[i].index = i;
		side[i].other = &side[1 - i];
	}
	bench_two_threads(run, &side[0], &side[1]);
	bench_report(&bench);
	return 0;
}
