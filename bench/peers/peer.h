/*
 * What every peer program shares: options, pinning, the two threads' clockwork,
 * percentiles and one line of JSON. Header only, so that a peer is one file.
 *
 * A peer runs two threads that wake each other in turn. Thread 0 calls
 * bench_tick() before the first round trip and after each one; thread 1 answers
 * bench_rounds() times.
 */
#ifndef PEER_H
#define PEER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	WARMUP = 2000,        /* unless asked otherwise */
	EXIT_UNAVAILABLE = 2, /* the mechanism (or the CPU) is not there: skip, not failure */
};

struct bench {
	const char *peer, *mode, *scenario;
	char version[64];   /* of the library, or of the kernel for plain C */
	int n;              /* round trips (or operations) to measure */
	int warmup;         /* round trips thrown away: caches, branch predictors, CPU clock */
	bool raw;           /* the samples follow the line of JSON, 8 bytes each */
	int batch;          /* operations behind one sample; 1 = every one is timed */
	int cpu[2];         /* CPU of each thread, -1 = not pinned */
	pthread_barrier_t ready;

	/* Written by thread 0 only. */
	uint64_t *sample;
	int samples;        /* how many samples there are to take */
	int tick;
	uint64_t last, cpu_start, cpu_used;
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

/* How often thread 1 has to answer. */
static inline int bench_rounds(const struct bench *b)
{
	return b->warmup + b->samples * b->batch;
}

/*
 * Ends one round trip (or batch) and begins the next; false when all are done.
 * One reading of the clock serves as end and as beginning, so a sample holds the
 * clock's cost once (it is printed as clock_ns) and nothing goes unmeasured.
 * The first warmup/batch ticks take no samples.
 */
static inline bool bench_tick(struct bench *b)
{
	int warm = b->warmup / b->batch;
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	if (b->tick > warm)
		b->sample[b->tick - warm - 1] = now - b->last;
	if (b->tick == warm) {
		b->cpu_start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		now = clock_ns(CLOCK_MONOTONIC); /* the call above is not part of a sample */
	}
	b->last = now;
	if (b->tick++ < warm + b->samples)
		return true;
	b->cpu_used = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - b->cpu_start;
	return false;
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

static inline void bench_report(struct bench *b)
{
	/* What one reading of the clock costs here; every sample contains it once. */
	enum { READINGS = 10000 };
	uint64_t t = clock_ns(CLOCK_MONOTONIC);
	for (int i = 0; i < READINGS; i++)
		clock_ns(CLOCK_MONOTONIC);
	double clock_cost = (double)(clock_ns(CLOCK_MONOTONIC) - t) / READINGS;

	/* Single operations are whole nanoseconds, batches have a fraction. */
	int digits = b->batch > 1;
	uint64_t *taken = NULL; /* in the order of time */
	size_t size = (size_t)b->samples * sizeof *b->sample;
	if (b->raw) {
		taken = malloc(size);
		if (!taken)
			die("malloc");
		memcpy(taken, b->sample, size);
	}
	qsort(b->sample, (size_t)b->samples, sizeof *b->sample, by_value);
	printf("{\"peer\":\"%s\",\"mode\":\"%s\",\"scenario\":\"%s\",\"pinned\":%s,"
	       "\"cpus\":[%d,%d],\"n\":%d,\"batch\":%d,"
	       "\"p50_ns\":%.*f,\"p90_ns\":%.*f,\"p99_ns\":%.*f,\"p999_ns\":%.*f,\"max_ns\":%.*f,"
	       "\"cpu_ns_per_op\":%.0f,\"clock_ns\":%.1f,\"version\":\"%s\"}\n",
	       b->peer, b->mode, b->scenario, b->cpu[0] >= 0 ? "true" : "false",
	       b->cpu[0], b->cpu[1], b->samples * b->batch, b->batch,
	       digits, percentile(b, .5), digits, percentile(b, .9), digits, percentile(b, .99),
	       digits, percentile(b, .999), digits, percentile(b, 1),
	       (double)b->cpu_used / b->samples / b->batch, clock_cost, b->version);
	if (taken && fwrite(taken, size, 1, stdout) != 1)
		die("write");
	free(taken);
}

__attribute__((noreturn))
static inline void usage(const char *program, const char *modes)
{
	fprintf(stderr, "usage: %s %s [-n ROUNDTRIPS] [-cpu CPU|none] [-cpus A,B] [-warmup N] [-raw]\n",
		program, modes);
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

/* Fills b from the command line; argv[1] is the mode. modes is for the usage line. */
static inline void bench_parse(struct bench *b, int argc, char **argv, const char *modes)
{
	if (argc < 2 || argv[1][0] == '-')
		usage(argv[0], modes);
	b->mode = argv[1];
	b->scenario = "pingpong";
	b->n = 50000;
	b->batch = 1;
	b->warmup = WARMUP;

	for (int i = 2; i < argc; i += 2) {
		const char *value = argv[i + 1];
		if (!strcmp(argv[i], "-raw")) {
			b->raw = true;
			i--;
			continue;
		}
		if (!value)
			usage(argv[0], modes);
		if (!strcmp(argv[i], "-n")) {
			b->n = atoi(value);
		} else if (!strcmp(argv[i], "-warmup")) {
			b->warmup = atoi(value);
		} else if (!strcmp(argv[i], "-scenario")) {
			b->scenario = value;
		} else if (!strcmp(argv[i], "-cpu") && !strcmp(value, "none")) {
			b->cpu[0] = b->cpu[1] = -1;
		} else if (!strcmp(argv[i], "-cpu")) {
			b->cpu[0] = b->cpu[1] = parse_cpu(&value);
			if (b->cpu[0] < 0 || *value)
				usage(argv[0], modes);
		} else if (!strcmp(argv[i], "-cpus")) {
			b->cpu[0] = parse_cpu(&value);
			if (b->cpu[0] < 0 || *value++ != ',')
				usage(argv[0], modes);
			b->cpu[1] = parse_cpu(&value);
			if (b->cpu[1] < 0 || *value)
				usage(argv[0], modes);
		} else {
			usage(argv[0], modes);
		}
	}
	if (b->n < 1 || b->n > 100000000 || b->warmup < 0 || b->warmup > 100000000)
		usage(argv[0], modes);
}

/* Room for the samples, touched now so that no page fault falls into one. */
static inline void bench_prepare(struct bench *b)
{
	b->samples = b->n / b->batch > 0 ? b->n / b->batch : 1;
	b->sample = malloc((size_t)b->samples * sizeof *b->sample);
	if (!b->sample)
		die("malloc");
	memset(b->sample, 0xff, (size_t)b->samples * sizeof *b->sample);
	pthread_barrier_init(&b->ready, NULL, 2);
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
