/*
 * GLib: two threads, each in its own main context, wake each other. Three ways:
 *
 *   wakeup      g_main_context_wakeup() and a flag; nothing is dispatched. The least
 *               that GLib can do.
 *   ready-time  a GSource made once, triggered with g_source_set_ready_time(): the
 *               nearest thing to a bottom half or ev_async.
 *   idle        a new idle source for each event (g_main_context_invoke's way): what
 *               most programs write.
 */
#include "peer.h"

#include <glib.h>

struct side {
	GMainContext *context;
	GSource *source;  /* ready-time only */
	_Atomic bool flag; /* wakeup only */
	bool done;
	int index, answers;
	struct side *other;
};

static struct bench bench = { .peer = "glib" };
static void (*wake)(struct side *);

/* One event has arrived at me: answer it. */
static void woken(struct side *me)
{
	bool go_on = me->index == 0 ? bench_tick(&bench) : --me->answers > 0;
	/* Thread 1 answers the last time too, thread 0 has nobody left to wake. */
	if (go_on || me->index == 1)
		wake(me->other);
	me->done = !go_on;
}

static void wake_flag(struct side *s)
{
	atomic_store(&s->flag, true);
	g_main_context_wakeup(s->context);
}

static gboolean dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
	(void)callback;
	g_source_set_ready_time(source, -1); /* before the answer, which may trigger it again */
	woken(data);
	return G_SOURCE_CONTINUE;
}

static gboolean unused(gpointer data)
{
	(void)data;
	return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = { .dispatch = dispatch };

static void wake_ready_time(struct side *s)
{
	g_source_set_ready_time(s->source, 0);
}

static gboolean idle(gpointer data)
{
	woken(data);
	return G_SOURCE_REMOVE;
}

static void wake_idle(struct side *s)
{
	GSource *source = g_idle_source_new();
	g_source_set_priority(source, G_PRIORITY_DEFAULT);
	g_source_set_callback(source, idle, s, NULL);
	g_source_attach(source, s->context);
	g_source_unref(source);
}

static void *run(void *arg)
{
	struct side *me = arg;
	pin(bench.cpu[me->index]);
	me->context = g_main_context_new();
	if (wake == wake_ready_time) {
		me->source = g_source_new(&source_funcs, sizeof(GSource));
		g_source_set_callback(me->source, unused, me, NULL); /* carries me to dispatch */
		g_source_attach(me->source, me->context);
	}
	me->answers = bench_rounds(&bench);
	pthread_barrier_wait(&bench.ready);

	if (me->index == 0) {
		bench_tick(&bench);
		wake(me->other);
	}
	while (!me->done) {
		g_main_context_iteration(me->context, TRUE);
		if (atomic_load_explicit(&me->flag, memory_order_relaxed) &&
		    atomic_exchange(&me->flag, false))
			woken(me);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct side side[2];
	static const char modes[] = "wakeup|ready-time|idle";

	bench_parse(&bench, argc, argv, modes);
	if (!strcmp(bench.mode, "wakeup"))
		wake = wake_flag;
	else if (!strcmp(bench.mode, "ready-time"))
		wake = wake_ready_time;
	else if (!strcmp(bench.mode, "idle"))
		wake = wake_idle;
	if (!wake || strcmp(bench.scenario, "pingpong"))
		usage(argv[0], modes);
	snprintf(bench.version, sizeof bench.version, "%u.%u.%u",
		 glib_major_version, glib_minor_version, glib_micro_version);
	bench_prepare(&bench);
	for (int i = 0; i < 2; i++) {
		side[i].index = i;
		side[i].other = &side[1 - i];
	}
	bench_two_threads(run, &side[0], &side[1]);
	bench_report(&bench);
	return 0;
}
