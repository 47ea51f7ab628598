/*
 * libuv: two threads, each in its own loop, wake each other with uv_async.
 */
#include "peer.h"

#include <uv.h>

struct side {
	uv_loop_t loop;
	uv_async_t async;
	int index, answers;
	struct side *other;
};

static struct bench bench = { .peer = "libuv" };

static void woken(uv_async_t *handle)
{
	struct side *me = handle->data;

	bool go_on = me->index == 0 ? bench_tick(&bench) : --me->answers > 0;
	/* Thread 1 answers the last time too, thread 0 has nobody left to wake. */
	if (go_on || me->index == 1)
		uv_async_send(&me->other->async);
	if (!go_on)
		uv_stop(&me->loop);
}

static void *run(void *arg)
{
	struct side *me = arg;
	pin(bench.cpu[me->index]);
	if (uv_loop_init(&me->loop) || uv_async_init(&me->loop, &me->async, woken))
		unavailable("libuv cannot make a loop here");
	me->async.data = me;
	me->answers = bench_rounds(&bench);
	pthread_barrier_wait(&bench.ready);

	if (me->index == 0) {
		bench_tick(&bench);
		uv_async_send(&me->other->async);
	}
	uv_run(&me->loop, UV_RUN_DEFAULT);
	return NULL;
}

int main(int argc, char **argv)
{
	static struct side side[2];

	bench_parse(&bench, argc, argv, "uv_async");
	if (strcmp(bench.mode, "uv_async") || strcmp(bench.scenario, "pingpong"))
		usage(argv[0], "uv_async");
	snprintf(bench.version, sizeof bench.version, "%s", uv_version_string());
	bench_prepare(&bench);
	for (int i = 0; i < 2; i++) {
		side[i].index = i;
		side[i].other = &side[1 - i];
	}
	bench_two_threads(run, &side[0], &side[1]);
	bench_report(&bench);
	return 0;
}
