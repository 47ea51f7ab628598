/*
 * libev: each loop is woken with ev_async; in self-notifier, which is about descriptors,
 * an ev_io watches an eventfd.
 */
#include "loop.h"

#include <ev.h>

struct ev_side {
	struct side side; /* first member */
	struct ev_loop *loop;
	ev_async async;
	ev_timer *timer;
};

static struct ev_side *of(struct side *s)
{
	return (struct ev_side *)s;
}

static void async_cb(struct ev_loop *loop, ev_async *w, int revents)
{
	(void)loop;
	(void)revents;
	woken(w->data);
}

static void timer_cb(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	fired(w->data);
}

static void readable_cb(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	heard(w->data, w->fd);
}

static void idle_cb(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	die("an idle descriptor became ready");
}

static void open_loop(struct side *s)
{
	struct ev_side *me = of(s);
	me->loop = ev_loop_new(EVBACKEND_EPOLL);
	if (!me->loop)
		unavailable("libev's epoll backend is unavailable");
	ev_async_init(&me->async, async_cb);
	me->async.data = s;
	ev_async_start(me->loop, &me->async);
}

static void wake(struct side *s)
{
	ev_async_send(of(s)->loop, &of(s)->async);
}

static void run(struct side *s)
{
	ev_run(of(s)->loop, 0);
}

static void stop(struct side *s)
{
	ev_break(of(s)->loop, EVBREAK_ALL);
}

static void turn(struct side *s)
{
	ev_run(of(s)->loop, EVRUN_NOWAIT);
}

static void watch_with(struct side *s, int fd, void (*callback)(struct ev_loop *, ev_io *, int))
{
	ev_io *w = malloc(sizeof *w);
	if (!w)
		die("malloc");
	ev_io_init(w, callback, fd, EV_READ);
	w->data = s;
	ev_io_start(of(s)->loop, w);
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
	struct ev_side *me = of(s);
	me->timer = calloc((size_t)count, sizeof *me->timer);
	if (!me->timer)
		die("calloc");
	for (int i = 0; i < count; i++) {
		ev_timer_init(&me->timer[i], timer_cb, 1000 + i % 1000, 0.);
		me->timer[i].data = s;
		ev_timer_start(me->loop, &me->timer[i]);
	}
}

static void rearm(struct side *s, int which, double seconds)
{
	struct ev_side *me = of(s);
	ev_timer *w = &me->timer[which];
	ev_timer_stop(me->loop, w);
	ev_timer_set(w, seconds, 0.);
	ev_timer_start(me->loop, w);
}

int main(int argc, char **argv)
{
	static struct ev_side side[2];
	static const struct ops libev = {
		open_loop, wake, run, stop, turn, watch, idle, timers, rearm,
	};

	bench.peer = "libev";
	bench_parse(&bench, argc, argv, "ev_async");
	if (strcmp(bench.mode, "ev_async"))
		usage(argv[0], "ev_async");
	snprintf(bench.version, sizeof bench.version, "%d.%d", ev_version_major(), ev_version_minor());
	loop_main(&side[0].side, &side[1].side, &libev);
	return 0;
}
