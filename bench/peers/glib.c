/*
 * GLib: each loop is a main context. It can be woken in three ways:
 *
 *   wakeup      g_main_context_wakeup() and a flag; nothing is dispatched. The least
 *               that GLib can do.
 *   ready-time  a GSource made once, triggered with g_source_set_ready_time(): the
 *               nearest thing to a bottom half or ev_async.
 *   idle        a new idle source for each event (g_main_context_invoke's way): what
 *               most programs write.
 *
 * In self-notifier, which is about descriptors, a source watches an eventfd in all of
 * them.
 */
#include "loop.h"

#include <glib-unix.h>
#include <glib.h>

struct g_side {
	struct side side; /* first member */
	GMainContext *context;
	GSource *source;   /* ready-time only */
	_Atomic bool flag; /* wakeup only */
	bool done;
	GSource **timer;
};

static void (*wake_way)(struct g_side *);

static struct g_side *of(struct side *s)
{
	return (struct g_side *)s;
}

static void wake_flag(struct g_side *s)
{
	atomic_store(&s->flag, true);
	g_main_context_wakeup(s->context);
}

static gboolean dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
	g_source_set_ready_time(source, -1); /* before the answer, which may trigger it again */
	return callback(data);
}

static GSourceFuncs source_funcs = { .dispatch = dispatch };

static gboolean triggered(gpointer data)
{
	woken(data);
	return G_SOURCE_CONTINUE;
}

static void wake_ready_time(struct g_side *s)
{
	g_source_set_ready_time(s->source, 0);
}

static gboolean idle_event(gpointer data)
{
	woken(data);
	return G_SOURCE_REMOVE;
}

static void wake_idle(struct g_side *s)
{
	GSource *source = g_idle_source_new();
	g_source_set_priority(source, G_PRIORITY_DEFAULT);
	g_source_set_callback(source, idle_event, s, NULL);
	g_source_attach(source, s->context);
	g_source_unref(source);
}

static gboolean readable(gint fd, GIOCondition condition, gpointer data)
{
	(void)condition;
	heard(data, fd);
	return G_SOURCE_CONTINUE;
}

static gboolean never(gint fd, GIOCondition condition, gpointer data)
{
	(void)fd;
	(void)condition;
	(void)data;
	die("an idle descriptor became ready");
}

static void watch_with(struct side *s, int fd, GUnixFDSourceFunc callback)
{
	GSource *source = g_unix_fd_source_new(fd, G_IO_IN);
	g_source_set_callback(source, G_SOURCE_FUNC(callback), s, NULL);
	g_source_attach(source, of(s)->context);
	g_source_unref(source);
}

static void watch(struct side *s, int fd)
{
	watch_with(s, fd, readable);
}

static GSource *ready_source(struct g_side *me, GSourceFunc callback)
{
	GSource *source = g_source_new(&source_funcs, sizeof(GSource));
	g_source_set_callback(source, callback, me, NULL);
	g_source_attach(source, me->context);
	return source;
}

static void open_loop(struct side *s)
{
	struct g_side *me = of(s);
	me->context = g_main_context_new();
	if (wake_way == wake_ready_time)
		me->source = ready_source(me, triggered);
}

static void wake(struct side *s)
{
	wake_way(of(s));
}

static void iterate(struct g_side *me, gboolean may_block)
{
	g_main_context_iteration(me->context, may_block);
	if (atomic_load_explicit(&me->flag, memory_order_relaxed) && atomic_exchange(&me->flag, false))
		woken(&me->side);
}

static void turn(struct side *s)
{
	iterate(of(s), FALSE);
}

static void run(struct side *s)
{
	while (!of(s)->done)
		iterate(of(s), TRUE);
}

static void stop(struct side *s)
{
	of(s)->done = true;
}

static void idle(struct side *s, int fd)
{
	watch_with(s, fd, never);
}

static gboolean timer_fired(gpointer data)
{
	fired(data);
	return G_SOURCE_CONTINUE;
}

/* g_timeout_source_new cannot be moved: a source with a ready time can. */
static void timers(struct side *s, int count)
{
	struct g_side *me = of(s);
	me->timer = calloc((size_t)count, sizeof *me->timer);
	if (!me->timer)
		die("calloc");
	for (int i = 0; i < count; i++) {
		me->timer[i] = ready_source(me, timer_fired);
		g_source_set_ready_time(me->timer[i], g_get_monotonic_time() + (1000 + i % 1000) * G_USEC_PER_SEC);
	}
}

static void rearm(struct side *s, int which, double seconds)
{
	gint64 due = seconds > 0 ? g_get_monotonic_time() + (gint64)(seconds * G_USEC_PER_SEC) : 0;
	g_source_set_ready_time(of(s)->timer[which], due);
}

int main(int argc, char **argv)
{
	static struct g_side side[2];
	static const char modes[] = "wakeup|ready-time|idle";
	static const struct ops glib = {
		open_loop, wake, run, stop, turn, watch, idle, timers, rearm,
	};

	bench.peer = "glib";
	bench_parse(&bench, argc, argv, modes);
	if (!strcmp(bench.mode, "wakeup"))
		wake_way = wake_flag;
	else if (!strcmp(bench.mode, "ready-time"))
		wake_way = wake_ready_time;
	else if (!strcmp(bench.mode, "idle"))
		wake_way = wake_idle;
	else
		usage(argv[0], modes);
	snprintf(bench.version, sizeof bench.version, "%u.%u.%u",
		 glib_major_version, glib_minor_version, glib_micro_version);
	loop_main(&side[0].side, &side[1].side, &glib);
	return 0;
}
