/*
 * floor: what a wake-up costs in the kernel, with nothing around it.
 *
 * No library, no callbacks, no queues: two threads, each with its own instance of one
 * mechanism, wake each other in turn. An event loop cannot be faster than its line
 * here; how near it comes is its own quality. Prints one JSON object.
 *
 * Scenario "self-notifier" does both halves on one thread: make an eventfd readable, wait
 * for it; with -idle, beside eventfds that nobody writes. Scenario "lateness" sleeps until a
 * time and looks how late it is.
 *
 * io_uring is driven by raw system calls, so only libc is needed.
 */
#include "peer.h"

#include <linux/futex.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

/* Linux 6.15; headers are often older than the kernel that runs. */
#ifndef IORING_FEAT_NO_IOWAIT
#define IORING_FEAT_NO_IOWAIT (1U << 17)
#endif
#ifndef IORING_ENTER_NO_IOWAIT
#define IORING_ENTER_NO_IOWAIT (1U << 7)
#endif

struct ring {
	int fd;
	unsigned enter_flags;
	unsigned *sq_tail, sq_mask;
	unsigned *cq_head, *cq_tail, cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

/* One thread's end. Aligned, so that the two never share a cache line. */
struct side {
	_Alignas(128) _Atomic uint32_t word; /* futex and spin: 1 = "it is your turn" */
	_Alignas(128) int efd;               /* whoever wants to wake this side writes here */
	int epfd;
	struct pollfd *polled;               /* efd and the idle ones */
	struct ring ring;
	int index;
	struct side *other;
};

struct mode {
	const char *name;
	void (*open)(struct side *);
	void (*wake)(struct side *); /* called by the other thread */
	void (*wait)(struct side *);
	void (*idle)(struct side *, int fd, int index); /* also waits for fd, where nothing happens;
	                              * without it, there is no scenario "self-notifier" */
};

static struct bench bench = { .peer = "c" };
static const struct mode *mode;

/* ---- eventfd: how all but futex and spin are woken -------------------------------- */

static void open_eventfd(struct side *s)
{
	s->efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (s->efd < 0)
		unavailable("eventfd is unavailable: %s", strerror(errno));
}

static void wake_eventfd(struct side *s)
{
	uint64_t one = 1;
	if (write(s->efd, &one, sizeof one) != sizeof one)
		die("write to eventfd");
}

/* Takes the event, as a level-triggered wait requires. It also fails if there is none:
 * a wait that returned for no reason would make its line too good. */
static void drain_eventfd(struct side *s)
{
	uint64_t count;
	if (read(s->efd, &count, sizeof count) != sizeof count)
		die("read from eventfd");
}

/* ---- spin: a shared flag, no kernel ------------------------------------------------ */

static void open_nothing(struct side *s)
{
	(void)s;
}

static void wake_spin(struct side *s)
{
	atomic_store_explicit(&s->word, 1, memory_order_release);
}

static void wait_spin(struct side *s)
{
	/* No pause instruction: on a machine with little to share it only adds delay. */
	while (!atomic_load_explicit(&s->word, memory_order_acquire))
		;
	atomic_store_explicit(&s->word, 0, memory_order_relaxed);
}

/* ---- futex: sleep and wake, no file descriptor ------------------------------------- */

static void wake_futex(struct side *s)
{
	/* Always the system call, also where nobody sleeps yet: the same number of calls
	 * as the eventfd modes make. */
	atomic_store_explicit(&s->word, 1, memory_order_release);
	if (syscall(SYS_futex, &s->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) < 0)
		die("FUTEX_WAKE");
}

static void wait_futex(struct side *s)
{
	while (!atomic_load_explicit(&s->word, memory_order_acquire))
		if (syscall(SYS_futex, &s->word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) < 0 &&
		    errno != EAGAIN && errno != EINTR)
			die("FUTEX_WAIT");
	atomic_store_explicit(&s->word, 0, memory_order_relaxed);
}

/* ---- ppoll -------------------------------------------------------------------------- */

static void open_ppoll(struct side *s)
{
	open_eventfd(s);
	s->polled = calloc((size_t)bench.idle + 1, sizeof *s->polled);
	if (!s->polled)
		die("calloc");
	s->polled[0] = (struct pollfd){ .fd = s->efd, .events = POLLIN };
}

static void idle_ppoll(struct side *s, int fd, int index)
{
	s->polled[index + 1] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

static void wait_ppoll(struct side *s)
{
	int r;
	do
		r = ppoll(s->polled, (nfds_t)bench.idle + 1, NULL, NULL);
	while (r < 0 && errno == EINTR);
	if (r != 1)
		die("ppoll");
	drain_eventfd(s);
}

/* ---- epoll, level-triggered (must read) and edge-triggered (need not) ------------------ */

static void open_epoll_as(struct side *s, uint32_t events)
{
	open_eventfd(s);
	s->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (s->epfd < 0)
		unavailable("epoll is unavailable: %s", strerror(errno));
	struct epoll_event ev = { .events = events };
	if (epoll_ctl(s->epfd, EPOLL_CTL_ADD, s->efd, &ev))
		die("epoll_ctl");
}

static void idle_epoll(struct side *s, int fd, int index)
{
	(void)index;
	struct epoll_event ev = { .events = EPOLLIN };
	if (epoll_ctl(s->epfd, EPOLL_CTL_ADD, fd, &ev))
		die("epoll_ctl");
}

static void open_epoll(struct side *s)
{
	open_epoll_as(s, EPOLLIN);
}

static void open_epoll_et(struct side *s)
{
	open_epoll_as(s, EPOLLIN | EPOLLET);
}

/* Every write to an eventfd is an edge, whether or not the count was zero: so the read,
 * a whole system call, can be left out. The count wraps in 2^64 writes. */
static void wait_epoll_et(struct side *s)
{
	struct epoll_event ev;
	int r;
	do
		r = epoll_wait(s->epfd, &ev, 1, -1);
	while (r < 0 && errno == EINTR);
	if (r != 1)
		die("epoll_wait");
}

static void wait_epoll(struct side *s)
{
	wait_epoll_et(s);
	drain_eventfd(s);
}

/* ---- io_uring ------------------------------------------------------------------------- */

/* Must run on the thread that waits: SINGLE_ISSUER binds the ring to its creator. */
static void open_ring(struct side *s)
{
	struct ring *r = &s->ring;
	/* DEFER_TASKRUN: completions are made by the waiter inside io_uring_enter, not by an
	 * interruption of whatever it does. It demands SINGLE_ISSUER. */
	struct io_uring_params p = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	};

	open_eventfd(s);
	r->fd = (int)syscall(SYS_io_uring_setup, 4, &p);
	if (r->fd < 0 && errno == EINVAL)
		unavailable("io_uring with DEFER_TASKRUN is unavailable: it needs Linux 6.1");
	if (r->fd < 0)
		unavailable("io_uring is unavailable: %s (see kernel.io_uring_disabled, seccomp)",
			    strerror(errno));

	/* A sleeper in io_uring counts as one that waits for a disk unless told otherwise;
	 * that costs bookkeeping, and misleads whoever reads the load or sets the clock. */
	r->enter_flags = IORING_ENTER_GETEVENTS;
	if (p.features & IORING_FEAT_NO_IOWAIT)
		r->enter_flags |= IORING_ENTER_NO_IOWAIT;

	/* Both rings are one mapping since Linux 5.4. */
	size_t sq = p.sq_off.array + p.sq_entries * sizeof(unsigned);
	size_t cq = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	char *m = mmap(NULL, sq > cq ? sq : cq, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
	r->sqes = mmap(NULL, p.sq_entries * sizeof *r->sqes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
	if (m == MAP_FAILED || (void *)r->sqes == MAP_FAILED)
		die("mmap of io_uring");

	r->sq_tail = (unsigned *)(m + p.sq_off.tail);
	r->sq_mask = *(unsigned *)(m + p.sq_off.ring_mask);
	r->cq_head = (unsigned *)(m + p.cq_off.head);
	r->cq_tail = (unsigned *)(m + p.cq_off.tail);
	r->cq_mask = *(unsigned *)(m + p.cq_off.ring_mask);
	r->cqes = (struct io_uring_cqe *)(m + p.cq_off.cqes);

	/* Slot i always holds entry i; the indirection is not needed here. */
	unsigned *array = (unsigned *)(m + p.sq_off.array);
	for (unsigned i = 0; i < p.sq_entries; i++)
		array[i] = i;
}

/* Queues a poll of a descriptor, to be submitted with the next enter. */
static void queue_poll(struct side *s, int fd, unsigned poll_flags)
{
	struct ring *r = &s->ring;
	unsigned tail = *r->sq_tail;
	struct io_uring_sqe *e = &r->sqes[tail & r->sq_mask];

	memset(e, 0, sizeof *e);
	e->opcode = IORING_OP_POLL_ADD;
	e->fd = fd;
	e->poll_events = POLLIN;
	e->len = poll_flags;
	__atomic_store_n(r->sq_tail, tail + 1, __ATOMIC_RELEASE);
}

static void enter(struct ring *r, unsigned submit, unsigned wait)
{
	long n = syscall(SYS_io_uring_enter, r->fd, submit, wait, r->enter_flags, NULL, 0);
	if (n < 0 && errno != EINTR)
		die("io_uring_enter");
	if (n < 0 && submit)
		die("io_uring_enter while submitting"); /* no signals are in use here */
}

/* Takes one completion if there is one. *more tells whether the poll stays armed. */
static bool reap(struct ring *r, bool *more)
{
	unsigned head = *r->cq_head;
	if (head == __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE))
		return false;
	const struct io_uring_cqe *c = &r->cqes[head & r->cq_mask];
	if (c->res < 0) {
		errno = -c->res;
		die("poll through io_uring");
	}
	*more = c->flags & IORING_CQE_F_MORE;
	__atomic_store_n(r->cq_head, head + 1, __ATOMIC_RELEASE);
	return true;
}

/* What a program written against the first kernels with io_uring does: the poll is armed
 * anew for each event, in the call that waits, and the event is read. */
static void wait_ring_oneshot(struct side *s)
{
	bool more;
	queue_poll(s, s->efd, 0);
	enter(&s->ring, 1, 1);
	while (!reap(&s->ring, &more))
		enter(&s->ring, 0, 1);
	drain_eventfd(s);
}

static void open_ring_multishot(struct side *s)
{
	open_ring(s);
	queue_poll(s, s->efd, IORING_POLL_ADD_MULTI);
	enter(&s->ring, 1, 0);
}

static void idle_ring(struct side *s, int fd, int index)
{
	(void)index;
	queue_poll(s, fd, IORING_POLL_ADD_MULTI);
	enter(&s->ring, 1, 0);
}

/* A multishot poll is edge-triggered and stays armed: two system calls per hop remain,
 * the write and this one. */
static void wait_ring_multishot(struct side *s)
{
	bool more;
	while (!reap(&s->ring, &more))
		enter(&s->ring, 0, 1);
	if (!more) {
		/* The kernel may end a multishot request. Empty the eventfd before it is
		 * armed again, or that reports the old events. Nothing is lost: the other
		 * side does not write before it has our answer. */
		drain_eventfd(s);
		queue_poll(s, s->efd, IORING_POLL_ADD_MULTI);
		enter(&s->ring, 1, 0);
	}
}

/* ---- the scenarios --------------------------------------------------------------------- */

static const struct mode modes[] = {
	{ "futex", open_nothing, wake_futex, wait_futex, NULL },
	{ "ppoll", open_ppoll, wake_eventfd, wait_ppoll, idle_ppoll },
	{ "epoll", open_epoll, wake_eventfd, wait_epoll, idle_epoll },
	{ "epoll-et", open_epoll_et, wake_eventfd, wait_epoll_et, idle_epoll },
	{ "io_uring-oneshot", open_ring, wake_eventfd, wait_ring_oneshot, idle_ring },
	{ "io_uring", open_ring_multishot, wake_eventfd, wait_ring_multishot, idle_ring },
	{ "spin", open_nothing, wake_spin, wait_spin, NULL },
};

static void *pingpong(void *arg)
{
	struct side *me = arg, *other = me->other;
	pin(bench.cpu[me->index]);
	mode->open(me);
	pthread_barrier_wait(&bench.ready);

	if (me->index == 0) {
		while (bench_tick(&bench)) {
			mode->wake(other);
			mode->wait(me);
		}
		mode->wake(other);
		return NULL;
	}
	for (;;) {
		mode->wait(me);
		if (atomic_load_explicit(&bench.over, memory_order_relaxed))
			return NULL;
		mode->wake(other);
	}
}

static void wake_side(void *side)
{
	mode->wake(side);
}

/* Side 0 is the loop, side 1 the producer. */
static void *wake(void *arg)
{
	struct side *me = arg;
	pin(bench.cpu[me->index]);
	if (me->index == 0)
		mode->open(me);
	pthread_barrier_wait(&bench.ready);
	if (me->index == 1) {
		bench_produce(&bench, wake_side, me->other);
		return NULL;
	}
	for (;;) {
		mode->wait(me);
		if (atomic_load_explicit(&bench.over, memory_order_relaxed))
			return NULL;
		bench_hear(&bench);
	}
}

static void *self(void *arg)
{
	struct side *me = arg;
	pin(bench.cpu[0]);
	double before = heap_bytes();
	mode->open(me);
	for (int i = 0; i < bench.idle; i++)
		mode->idle(me, idle_fd(), i);
	bench.idle_bytes = heap_bytes() - before;
	while (bench_tick(&bench))
		for (int i = 0; i < bench.batch; i++) {
			mode->wake(me);
			mode->wait(me);
		}
	return NULL;
}

/* A thread that sleeps until the time of its timer, and is told of it as soon as the kernel
 * can: with the usual slack it may be 50 us late. */
static void *lateness(void *arg)
{
	(void)arg;
	const struct timespec after = { .tv_nsec = bench.gap_us * 1000L };
	pin(bench.cpu[0]);
	if (prctl(PR_SET_TIMERSLACK, 1UL))
		die("PR_SET_TIMERSLACK");
	bench_start(&bench);
	uint64_t due, now;
	do {
		due = clock_ns(CLOCK_MONOTONIC) + (uint64_t)after.tv_nsec;
		while ((now = clock_ns(CLOCK_MONOTONIC)) < due) {
			struct timespec left = { .tv_nsec = (long)(due - now) };
			if (ppoll(NULL, 0, &left, NULL) < 0 && errno != EINTR)
				die("ppoll");
		}
	} while (bench_take(&bench, now, now - due));
	return NULL;
}

static void run(struct side side[2])
{
	if (bench_is(&bench, "lateness"))
		bench_one_thread(lateness, &side[0]);
	else if (bench_is(&bench, "self-notifier"))
		bench_one_thread(self, &side[0]);
	else
		bench_two_threads(bench_is(&bench, "wake") ? wake : pingpong, &side[0], &side[1]);
}

int main(int argc, char **argv)
{
	static struct side side[2];
	static const char names[] = "futex|ppoll|epoll|epoll-et|io_uring-oneshot|io_uring|spin";
	struct utsname u;

	bench_parse(&bench, argc, argv, names);
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
		if (!strcmp(bench.mode, modes[i].name))
			mode = &modes[i];
	bool on_self = bench_is(&bench, "self-notifier"), timer = bench_is(&bench, "lateness");
	if (!mode || (!on_self && !timer && !bench_is(&bench, "pingpong") && !bench_is(&bench, "wake")))
		usage(argv[0], names);
	if (timer && (mode->wait != wait_ppoll || bench.gap_us >= 1000000))
		unavailable("scenario lateness is for ppoll, and for less than a second");
	if (on_self && !mode->idle)
		unavailable("%s has no scenario %s: nothing stays behind to be waited for",
			    mode->name, bench.scenario);
	if (mode->wait == wait_spin && bench.cpu[0] >= 0 && bench.cpu[0] == bench.cpu[1])
		unavailable("spin is unavailable on one CPU: give it two, -cpus 0,1");
	if (!on_self)
		bench.idle = 0;

	/* Without the distribution's suffix, which says more of the machine than of the code. */
	if (!uname(&u))
		snprintf(bench.version, sizeof bench.version, "Linux %.*s",
			 (int)strcspn(u.release, "-+"), u.release);
	raise_limit();
	bench_prepare(&bench);
	for (int i = 0; i < 2; i++) {
		side[i].index = i;
		side[i].other = &side[1 - i];
	}
	run(side);
	bench_report(&bench);
	return 0;
}
