/*
 * libuv: each loop is woken with uv_async; in self-notifier, which is about descriptors, a
 * uv_poll watches an eventfd.
 */
#include "loop.h"

#include <uv.h>

struct uv_side {
	struct side side; /* first member */
	uv_loop_t loop;
	uv_async_t async;
	uv_timer_t *timer;
};

static struct uv_side *of(struct side *s)
{
	return (struct uv_side *)s;
}

static void async_cb(uv_async_t *handle)
{
	woken(handle->data);
}

static void timer_cb(uv_timer_t *handle)
{
	fired(handle->data);
}

static void readable_cb(uv_poll_t *handle, int status, int events)
{
	uv_os_fd_t fd;
	(void)events;
	if (status < 0 || uv_fileno((uv_handle_t *)handle, &fd))
		die("uv_poll");
	heard(handle->data, fd);
}

static void idle_cb(uv_poll_t *handle, int status, int events)
{
	(void)handle;
	(void)status;
	(void)events;
	die("an idle descriptor became ready");
}

static void open_loop(struct side *s)
{
	struct uv_side *me = of(s);
	if (uv_loop_init(&me->loop) || uv_async_init(&me->loop, &me->async, async_cb))
		unavailable("libuv cannot make a loop here");
	me->async.data = s;
}

static void wake(struct side *s)
{
	uv_async_send(&of(s)->async);
}

static void run(struct side *s)
{
	uv_run(&of(s)->loop, UV_RUN_DEFAULT);
}

static void stop(struct side *s)
{
	uv_stop(&of(s)->loop);
}

static void turn(struct side *s)
{
	uv_run(&of(s)->loop, UV_RUN_NOWAIT);
}

static void watch_with(struct side *s, int fd, uv_poll_cb callback)
{
	uv_poll_t *w = malloc(sizeof *w);
	if (!w)
		die("malloc");
	if (uv_poll_init(&of(s)->loop, w, fd) || uv_poll_start(w, UV_READABLE, callback))
		die("uv_poll");
	w->data = s;
}

static void watch(struct side *s, int fd)
{
	watch_with(s, fd, readable_cb);
}

static void idle(struct side *s, int fd)
{
	watch_with(s, fd, idle_cb);
}

static void timers(struct side *s, int count)
{
	struct uv_side *me = of(s);
	me->timer = calloc((size_t)count, sizeof *me->timer);
	if (!me->timer)
		die("calloc");
	for (int i = 0; i < count; i++) {
		me->timer[i].data = s;
		if (uv_timer_init(&me->loop, &me->timer[i]) ||
		    uv_timer_start(&me->timer[i], timer_cb, (uint64_t)(1000 + i % 1000) * 1000, 0))
			die("uv_timer");
		me->timer[i].data = s;
	}
}

static void rearm(struct side *s, int which, double seconds)
{
	uv_timer_start(&of(s)->timer[which], timer_cb, (uint64_t)(seconds * 1000), 0);
}

int main(int argc, char **argv)
{
	static struct uv_side side[2];
	static const struct ops libuv = {
		open_loop, wake, run, stop, turn, watch, idle, timers, rearm,
	};

	bench.peer = "libuv";
	bench_parse(&bench, argc, argv, "uv_async");
	if (strcmp(bench.mode, "uv_async"))
		usage(argv[0], "uv_async");
	snprintf(bench.version, sizeof bench.version, "%s", uv_version_string());
	loop_main(&side[0].side, &side[1].side, &libuv);
	return 0;
}
