/*
 * What every peer program shares: options, pinning, the clockwork of the scenarios,
 * percentiles, one line of JSON and the raw samples. Header only, so that a peer is
 * one file.
 *
 *   pingpong       two threads wake each other in turn; thread 0 calls bench_tick()
 *                  before the first round trip and after each one
 *   wake           a producer keeps its CPU busy for a gap, then wakes the loop
 *   self-bh        one thread wakes itself, in the loop's own way, and runs its loop
 *   self-notifier  one thread makes an eventfd readable and runs its loop; also beside
 *                  idle fds
 *   self-timer     one thread arms a timer that is due and runs its loop; also beside
 *                  timers that are far from due
 *   rearm-timer    one thread moves one of many timers; no loop runs
 *
 *   file-read      one thread reads blocks of a file
 *   file-write     one thread writes them
 *
 * A scenario ends after so many samples, or after a time.
 */
#ifndef PEER_H
#define PEER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
	WARMUP = 2000,        /* unless asked otherwise */
	SELF_BATCH = 100,     /* on one thread, an operation is too short to time alone */
	EXIT_UNAVAILABLE = 2, /* the mechanism (or the CPU) is not there: skip, not failure */
};

struct bench {
	const char *peer, *mode, *scenario;
	char version[64];   /* of the library, or of the kernel for plain C */
	int n;              /* operations to measure at most */
	int warmup;         /* operations thrown away: caches, branch predictors, CPU clock */
	uint64_t warm_ns, time_ns; /* if time_ns is not 0, for so long instead */
	bool raw;           /* the samples follow the line of JSON, 8 bytes each */
	int batch;          /* operations behind one sample; 1 = every one is timed */
	int cpu[2];         /* CPU of each thread, -1 = not pinned */
	int gap_us;         /* wake: how long the producer computes before each event;
	                     * lateness: what the timer is set for */
	int idle, timers;   /* what else is registered with the loop, and never happens */
	const char *file;   /* of file-read and file-write, like the following */
	int depth;          /* requests under way at a time */
	long block, span;   /* bytes of a request, and of the file that they are in */
	bool direct, sequential;
	double idle_bytes;  /* of this process, not of the kernel, for the idle descriptors */
	pthread_barrier_t ready;

	/* Written by the thread that measures only. */
	uint64_t *sample;
	int samples;        /* room for so many; at the end, how many were taken */
	int taken, warmed;
	bool measuring, begun;
	uint64_t last, start, cpu_start, cpu_used, elapsed;
	uint64_t due;       /* lateness: when the timer is */

	/* On lines of their own: the threads poll them. */
	_Alignas(128) _Atomic uint64_t heard; /* wake: when the callback ran, 0 = not yet */
	_Alignas(128) _Atomic bool over;      /* who is woken next has to end */
};

/* Says in one sentence why this peer cannot run here, and leaves. */
__attribute__((noreturn, format(printf, 1, 2)))
static inline void unavailable(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(EXIT_UNAVAILABLE);
}

/* A failure that no environment excuses. */
__attribute__((noreturn))
static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

static inline uint64_t clock_ns(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void pin(int cpu)
{
	if (cpu < 0)
		return;
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	int err = pthread_setaffinity_np(pthread_self(), sizeof set, &set);
	if (err)
		unavailable("CPU %d is unavailable to this process: %s", cpu, strerror(err));
}

static inline bool bench_is(const struct bench *b, const char *scenario)
{
	return !strcmp(b->scenario, scenario);
}

/* What is measured. The producer of wake computes all the time, that is not part of it. */
static inline uint64_t bench_cpu(const struct bench *b)
{
	uint64_t aside = bench_is(b, "wake") ? clock_ns(CLOCK_THREAD_CPUTIME_ID) : 0;
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID) - aside;
}

/* Counts one sample, which has just ended; false when there are enough. */
static inline bool bench_take(struct bench *b, uint64_t now, uint64_t sample)
{
	if (!b->measuring) {
		b->warmed += b->batch;
		if (b->time_ns ? now - b->start >= b->warm_ns : b->warmed >= b->warmup) {
			b->measuring = true;
			b->cpu_start = bench_cpu(b);
			b->start = clock_ns(CLOCK_MONOTONIC);
		}
		return true;
	}
	b->sample[b->taken++] = sample;
	if (b->taken < b->samples && (!b->time_ns || now - b->start < b->time_ns))
		return true;
	/* Of a loop that got no CPU at all, the difference of two readings may be negative. */
	uint64_t cpu = bench_cpu(b);
	b->cpu_used = cpu > b->cpu_start ? cpu - b->cpu_start : 0;
	b->elapsed = now - b->start;
	b->samples = b->taken;
	atomic_store(&b->over, true);
	return false;
}

/* Before the first operation: without a warm-up, the first sample counts. */
static inline void bench_start(struct bench *b)
{
	b->begun = true;
	b->measuring = b->time_ns ? !b->warm_ns : !b->warmup;
	b->cpu_start = bench_cpu(b);
	b->last = b->start = clock_ns(CLOCK_MONOTONIC);
}

/*
 * Ends one round trip (or batch) and begins the next; false when all are done.
 * One reading of the clock serves as end and as beginning, so a sample holds the
 * clock's cost once (it is printed as clock_ns) and nothing goes unmeasured.
 */
static inline bool bench_tick(struct bench *b)
{
	if (!b->begun) {
		bench_start(b);
		return true;
	}
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	bool warming = !b->measuring;
	bool go_on = bench_take(b, now, now - b->last);
	/* Reading the CPU's clock, at the end of the warm-up, is not part of a sample. */
	b->last = warming && b->measuring ? b->start : now;
	return go_on;
}

/* The callback of wake. */
static inline void bench_hear(struct bench *b)
{
	atomic_store_explicit(&b->heard, clock_ns(CLOCK_MONOTONIC), memory_order_release);
}

/* The producer of wake, on the calling thread. The loop is woken once more when it has to
 * end: b->over is set then. */
static inline void bench_produce(struct bench *b, void (*wake)(void *), void *loop)
{
	bool shared = b->cpu[0] == b->cpu[1]; /* then the loop can only run if we let it */
	uint64_t rang, heard, gap = (uint64_t)b->gap_us * 1000;

	bench_start(b);
	do {
		atomic_store_explicit(&b->heard, 0, memory_order_relaxed);
		uint64_t from = rang = clock_ns(CLOCK_MONOTONIC);
		while (rang - from < gap)
			rang = clock_ns(CLOCK_MONOTONIC);
		wake(loop);
		while (!(heard = atomic_load_explicit(&b->heard, memory_order_acquire)))
			if (shared)
				sched_yield();
	} while (bench_take(b, heard, heard - rang));
	wake(loop);
}

static inline int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* Nearest rank in the sorted samples, per operation: a value that really occurred. */
static inline double percentile(const struct bench *b, double p)
{
	int i = (int)(p * b->samples + 0.999999) - 1;
	if (i < 0)
		i = 0;
	if (i >= b->samples)
		i = b->samples - 1;
	return (double)b->sample[i] / b->batch;
}

/* What one reading of the clock costs here; every sample contains it once. */
static inline double clock_cost(void)
{
	enum { READINGS = 10000 };
	uint64_t t = clock_ns(CLOCK_MONOTONIC);
	for (int i = 0; i < READINGS; i++)
		clock_ns(CLOCK_MONOTONIC);
	return (double)(clock_ns(CLOCK_MONOTONIC) - t) / READINGS;
}

/* With -raw, who reads the samples makes his own percentiles of them. */
static inline void report_percentiles(struct bench *b)
{
	static const struct { const char *name; double p; } list[] = {
		{ "p50", .5 }, { "p90", .9 }, { "p99", .99 }, { "p999", .999 }, { "max", 1 },
	};
	/* Single operations are whole nanoseconds, batches have a fraction. */
	int digits = b->batch > 1;

	qsort(b->sample, (size_t)b->samples, sizeof *b->sample, by_value);
	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		printf("\"%s_ns\":%.*f,", list[i].name, digits, percentile(b, list[i].p));
}

static inline void bench_report(struct bench *b)
{
	printf("{\"peer\":\"%s\",\"mode\":\"%s\",\"scenario\":\"%s\",\"pinned\":%s,"
	       "\"cpus\":[%d,%d],\"n\":%d,\"samples\":%d,\"batch\":%d,",
	       b->peer, b->mode, b->scenario, b->cpu[0] >= 0 ? "true" : "false",
	       b->cpu[0], b->cpu[1], b->samples * b->batch, b->samples, b->batch);
	if (!b->raw)
		report_percentiles(b);
	if (b->idle > 0)
		printf("\"bytes_per_idle\":%.0f,", b->idle_bytes / b->idle);
	printf("\"elapsed_ns\":%llu,", (unsigned long long)b->elapsed);
	printf("\"cpu_ns_per_op\":%.0f,\"clock_ns\":%.1f,\"version\":\"%s\"}\n",
	       (double)b->cpu_used / b->samples / b->batch, clock_cost(), b->version);
	if (b->raw && fwrite(b->sample, (size_t)b->samples * sizeof *b->sample, 1, stdout) != 1)
		die("write");
}

__attribute__((noreturn))
static inline void usage(const char *program, const char *modes)
{
	fprintf(stderr, "usage: %s %s [-scenario NAME] [-n OPERATIONS] [-warmup N]\n"
		"\t[-time_us N -warm_us N] [-batch N] [-cpu CPU|none] [-cpus LOOP,OTHER]\n"
		"\t[-gap_us N] [-idle FDS] [-timers N] [-raw]\n"
		"\t[-file NAME -span BYTES -block BYTES -depth N -direct -sequential]\n", program, modes);
	exit(1);
}

/* CPU number, or -1 when the text is none. Moves *s behind it. */
static inline int parse_cpu(const char **s)
{
	char *end;
	long v = strtol(*s, &end, 10);
	if (end == *s || v < 0 || v >= CPU_SETSIZE)
		return -1;
	*s = end;
	return (int)v;
}

/* A number that is an option's value; false if it is none. */
static inline bool parse_number(const char *value, long low, long high, long *number)
{
	char *end;
	errno = 0;
	*number = strtol(value, &end, 10);
	return !errno && end != value && !*end && *number >= low && *number <= high;
}

static inline bool parse_cpus(struct bench *b, const char *option, const char *value)
{
	if (!strcmp(option, "-cpu") && !strcmp(value, "none")) {
		b->cpu[0] = b->cpu[1] = -1;
		return true;
	}
	b->cpu[0] = b->cpu[1] = parse_cpu(&value);
	if (!strcmp(option, "-cpus")) {
		if (*value++ != ',')
			return false;
		b->cpu[1] = parse_cpu(&value);
	}
	return b->cpu[0] >= 0 && b->cpu[1] >= 0 && !*value;
}

static inline bool parse_option(struct bench *b, const char *option, const char *value)
{
	enum { MANY = 100000000 };
	long v;
	if (!strcmp(option, "-scenario"))
		return b->scenario = value, true;
	if (!strcmp(option, "-cpu") || !strcmp(option, "-cpus"))
		return parse_cpus(b, option, value);
	if (!strcmp(option, "-file"))
		return b->file = value, true;
	if (!strcmp(option, "-span"))
		return parse_number(value, 1, LONG_MAX, &b->span);
	if (!parse_number(value, 0, MANY, &v))
		return false;
	if (!strcmp(option, "-n") && v > 0)
		b->n = (int)v;
	else if (!strcmp(option, "-batch") && v > 0)
		b->batch = (int)v;
	else if (!strcmp(option, "-warmup"))
		b->warmup = (int)v;
	else if (!strcmp(option, "-warm_us"))
		b->warm_ns = (uint64_t)v * 1000;
	else if (!strcmp(option, "-time_us"))
		b->time_ns = (uint64_t)v * 1000;
	else if (!strcmp(option, "-gap_us"))
		b->gap_us = (int)v;
	else if (!strcmp(option, "-idle"))
		b->idle = (int)v;
	else if (!strcmp(option, "-depth") && v > 0)
		b->depth = (int)v;
	else if (!strcmp(option, "-block") && v > 0)
		b->block = v;
	else if (!strcmp(option, "-timers"))
		b->timers = (int)v;
	else
		return false;
	return true;
}

/* The flag that an option without a value sets, NULL if it has one. */
static inline bool *parse_flag(struct bench *b, const char *option)
{
	if (!strcmp(option, "-raw"))
		return &b->raw;
	if (!strcmp(option, "-direct"))
		return &b->direct;
	return strcmp(option, "-sequential") ? NULL : &b->sequential;
}

/* Fills b from the command line; argv[1] is the mode. modes is for the usage line. */
static inline void bench_parse(struct bench *b, int argc, char **argv, const char *modes)
{
	if (argc < 2 || argv[1][0] == '-')
		usage(argv[0], modes);
	b->mode = argv[1];
	b->scenario = "pingpong";
	b->n = 50000;
	b->batch = 0;
	b->warmup = WARMUP;

	for (int i = 2; i < argc; i += 2) {
		bool *flag = parse_flag(b, argv[i]);
		if (flag) {
			*flag = true;
			i--;
		} else if (!argv[i + 1] || !parse_option(b, argv[i], argv[i + 1])) {
			usage(argv[0], modes);
		}
	}
	bool alone = bench_is(b, "pingpong") || bench_is(b, "wake") || bench_is(b, "lateness");
	if (alone || !b->batch)
		b->batch = alone ? 1 : SELF_BATCH;
}

/* Room for the samples, touched now so that no page fault falls into one. */
static inline void bench_prepare(struct bench *b)
{
	b->samples = (b->n + b->batch - 1) / b->batch;
	b->sample = malloc((size_t)b->samples * sizeof *b->sample);
	if (!b->sample)
		die("malloc");
	memset(b->sample, 0xff, (size_t)b->samples * sizeof *b->sample);
	pthread_barrier_init(&b->ready, NULL, 2);
}

/* An eventfd that is never written. */
static inline int idle_fd(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fd < 0)
		unavailable("so many idle descriptors are unavailable: %s", strerror(errno));
	return fd;
}

/* What the program has allocated. */
static inline double heap_bytes(void)
{
	struct mallinfo2 m = mallinfo2();
	return (double)m.uordblks + (double)m.hblkhd;
}

/* As many descriptors as the hard limit allows. */
static inline void raise_limit(void)
{
	struct rlimit r;
	if (!getrlimit(RLIMIT_NOFILE, &r)) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

/* Runs fn(arg) on a thread of its own while this one sleeps: in a process with several
 * threads (as every Go program is) the kernel takes a reference on each fd it is given. */
static inline void bench_one_thread(void *(*fn)(void *), void *arg)
{
	pthread_t t;
	if (pthread_create(&t, NULL, fn, arg))
		die("pthread_create");
	pthread_join(t, NULL);
}

/* Runs fn(&side[0]) and fn(&side[1]) on a thread each, to the end. */
static inline void bench_two_threads(void *(*fn)(void *), void *side0, void *side1)
{
	pthread_t thread[2];
	if (pthread_create(&thread[0], NULL, fn, side0) ||
	    pthread_create(&thread[1], NULL, fn, side1))
		die("pthread_create");
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
}

#endif
