/*
 * fileio: what a read or a write of a file costs with the kernel's interfaces, with nothing around
 * them. One thread keeps -depth requests of -block bytes under way, at random places of the first
 * -span bytes of -file, or one behind the other with -sequential.
 *
 *   pread                  a blocking call at a time, whatever the depth
 *   io_uring               SINGLE_ISSUER, DEFER_TASKRUN, one enter for all that is new
 *   io_uring-registered    the same with the ring, the file and the buffers registered
 *   linux-aio              io_submit and io_getevents; with O_DIRECT only, others block in it
 *
 * Scenarios: file-read, file-write; -direct opens the file with O_DIRECT. A sample is the time
 * from the moment at which a request was made to the one at which its completion was seen.
 */
#include "peer.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>

#ifndef IORING_ENTER_REGISTERED_RING
#define IORING_ENTER_REGISTERED_RING (1U << 4)
#endif

enum { MAX_DEPTH = 1024 };

struct request {
	uint64_t made;
	off_t at;
	char *buf;
	struct iocb iocb;
};

struct ring {
	int fd;
	unsigned enter_flags, queued;
	unsigned *sq_tail, sq_mask;
	unsigned *cq_head, *cq_tail, cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static struct bench bench = { .peer = "c" };
static struct request requests[MAX_DEPTH];
static struct ring ring;
static aio_context_t aio;
static int file;
static bool writing, registered;
static uint64_t seed = 88172645463325252u;
static off_t sequential;

/* The next place: all of them are as likely. */
static off_t next_place(void)
{
	off_t blocks = bench.span / bench.block;
	if (bench.sequential) {
		sequential = (sequential + 1) % blocks;
		return sequential * bench.block;
	}
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (off_t)(seed % (uint64_t)blocks) * bench.block;
}

static void make(struct request *r)
{
	r->at = next_place();
	r->made = clock_ns(CLOCK_MONOTONIC);
}

/* Counts a request that is over; false when there are enough. */
static bool over(struct request *r, long result)
{
	if (result != bench.block) {
		errno = result < 0 ? (int)-result : EIO;
		die("a request was not done in full");
	}
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	return bench_take(&bench, now, now - r->made);
}

/* ---- a blocking call -------------------------------------------------------------------- */

static void run_pread(void)
{
	struct request *r = &requests[0];
	long n;
	do {
		make(r);
		n = writing ? pwrite(file, r->buf, (size_t)bench.block, r->at)
			    : pread(file, r->buf, (size_t)bench.block, r->at);
	} while (over(r, n < 0 ? -errno : n));
}

/* ---- io_uring --------------------------------------------------------------------------- */

static void open_ring(void)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	};
	ring.fd = (int)syscall(SYS_io_uring_setup, MAX_DEPTH, &p);
	if (ring.fd < 0 && errno == EINVAL)
		unavailable("io_uring with DEFER_TASKRUN is unavailable: it needs Linux 6.1");
	if (ring.fd < 0)
		unavailable("io_uring is unavailable: %s (see kernel.io_uring_disabled, seccomp, ulimit -l)",
			    strerror(errno));
	ring.enter_flags = IORING_ENTER_GETEVENTS;

	size_t sq = p.sq_off.array + p.sq_entries * sizeof(unsigned);
	size_t cq = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	char *m = mmap(NULL, sq > cq ? sq : cq, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQ_RING);
	ring.sqes = mmap(NULL, p.sq_entries * sizeof *ring.sqes, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQES);
	if (m == MAP_FAILED || (void *)ring.sqes == MAP_FAILED)
		die("mmap of io_uring");
	ring.sq_tail = (unsigned *)(m + p.sq_off.tail);
	ring.sq_mask = *(unsigned *)(m + p.sq_off.ring_mask);
	ring.cq_head = (unsigned *)(m + p.cq_off.head);
	ring.cq_tail = (unsigned *)(m + p.cq_off.tail);
	ring.cq_mask = *(unsigned *)(m + p.cq_off.ring_mask);
	ring.cqes = (struct io_uring_cqe *)(m + p.cq_off.cqes);
	unsigned *array = (unsigned *)(m + p.sq_off.array);
	for (unsigned i = 0; i < p.sq_entries; i++)
		array[i] = i;
}

static void register_all(void)
{
	struct iovec buffers[MAX_DEPTH];
	for (int i = 0; i < bench.depth; i++)
		buffers[i] = (struct iovec){ requests[i].buf, (size_t)bench.block };
	if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, buffers, bench.depth))
		unavailable("registered buffers are unavailable: %s (see ulimit -l)", strerror(errno));
	if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, &file, 1))
		die("IORING_REGISTER_FILES");
	struct { uint32_t offset, resv; uint64_t data; } update = { UINT32_MAX, 0, (uint64_t)ring.fd };
	if (syscall(SYS_io_uring_register, ring.fd, 20 /* RING_FDS, 5.18 */, &update, 1) == 1) {
		ring.fd = (int)update.offset;
		ring.enter_flags |= IORING_ENTER_REGISTERED_RING;
	}
}

static void queue(struct request *r)
{
	unsigned tail = *ring.sq_tail;
	struct io_uring_sqe *e = &ring.sqes[tail & ring.sq_mask];
	make(r);
	memset(e, 0, sizeof *e);
	e->opcode = writing ? IORING_OP_WRITE : IORING_OP_READ;
	e->fd = file;
	if (registered) {
		e->opcode = writing ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
		e->fd = 0;
		e->flags = IOSQE_FIXED_FILE;
		e->buf_index = (uint16_t)(r - requests);
	}
	e->addr = (uint64_t)(uintptr_t)r->buf;
	e->len = (uint32_t)bench.block;
	e->off = (uint64_t)r->at;
	e->user_data = (uint64_t)(r - requests);
	__atomic_store_n(ring.sq_tail, tail + 1, __ATOMIC_RELEASE);
	ring.queued++;
}

static void run_ring(void)
{
	for (int i = 0; i < bench.depth; i++)
		queue(&requests[i]);
	for (;;) {
		long n = syscall(SYS_io_uring_enter, ring.fd, ring.queued, 1, ring.enter_flags, NULL, 0);
		if (n < 0 && errno != EINTR)
			die("io_uring_enter");
		if (n > 0)
			ring.queued -= (unsigned)n;
		unsigned head = *ring.cq_head, tail = __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE);
		for (; head != tail; head++) {
			const struct io_uring_cqe *c = &ring.cqes[head & ring.cq_mask];
			struct request *r = &requests[c->user_data];
			if (!over(r, c->res))
				return; /* the process ends; the kernel finishes the others */
			queue(r);
		}
		__atomic_store_n(ring.cq_head, head, __ATOMIC_RELEASE);
	}
}

/* ---- Linux AIO -------------------------------------------------------------------------- */

static void run_aio(void)
{
	struct iocb *list[MAX_DEPTH];
	struct io_event events[MAX_DEPTH];
	long fresh = 0;

	if (syscall(SYS_io_setup, bench.depth, &aio))
		unavailable("Linux AIO is unavailable: %s (see fs.aio-max-nr)", strerror(errno));
	for (int i = 0; i < bench.depth; i++)
		list[fresh++] = &requests[i].iocb;
	for (;;) {
		for (long i = 0; i < fresh; i++) {
			struct request *r = (struct request *)((char *)list[i] - offsetof(struct request, iocb));
			make(r);
			r->iocb = (struct iocb){
				.aio_data = (uint64_t)(r - requests),
				.aio_lio_opcode = writing ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
				.aio_fildes = (uint32_t)file, .aio_buf = (uint64_t)(uintptr_t)r->buf,
				.aio_nbytes = (uint64_t)bench.block, .aio_offset = r->at,
			};
		}
		for (long sent = 0; sent < fresh;) {
			long n = syscall(SYS_io_submit, aio, fresh - sent, list + sent);
			if (n < 0)
				die("io_submit");
			sent += n;
		}
		long n;
		do
			n = syscall(SYS_io_getevents, aio, 1, bench.depth, events, NULL);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			die("io_getevents");
		for (fresh = 0; fresh < n; fresh++) {
			struct request *r = &requests[events[fresh].data];
			if (!over(r, (long)events[fresh].res))
				return;
			list[fresh] = &r->iocb;
		}
	}
}

/* ----------------------------------------------------------------------------------------- */

static void prepare(void)
{
	int flags = (writing ? O_RDWR : O_RDONLY) | O_CLOEXEC | (bench.direct ? O_DIRECT : 0);
	file = open(bench.file, flags);
	if (file < 0 && errno == EINVAL)
		unavailable("O_DIRECT is unavailable on this filesystem");
	if (file < 0)
		die(bench.file);
	size_t bytes = (size_t)bench.block * (size_t)bench.depth;
	char *memory = aligned_alloc(4096, (bytes + 4095) & ~(size_t)4095);
	if (!memory)
		die("aligned_alloc");
	memset(memory, 1, bytes);
	for (int i = 0; i < bench.depth; i++)
		requests[i].buf = memory + (size_t)i * (size_t)bench.block;
}

static void *run(void *unused)
{
	(void)unused;
	pin(bench.cpu[0]);
	prepare();
	bool on_ring = !strncmp(bench.mode, "io_uring", 8);
	if (on_ring)
		open_ring();
	if (registered)
		register_all();
	bench_start(&bench);
	if (on_ring)
		run_ring();
	else if (!strcmp(bench.mode, "linux-aio"))
		run_aio();
	else
		run_pread();
	return NULL;
}

int main(int argc, char **argv)
{
	static const char names[] = "pread|io_uring|io_uring-registered|linux-aio";
	struct utsname u;

	bench.depth = 1;
	bench.block = 4096;
	bench_parse(&bench, argc, argv, names);
	bench.batch = 1;
	writing = bench_is(&bench, "file-write");
	registered = !strcmp(bench.mode, "io_uring-registered");
	if (!strstr(names, bench.mode) || !bench.file || bench.depth > MAX_DEPTH ||
	    bench.span < bench.block || (!writing && !bench_is(&bench, "file-read")))
		usage(argv[0], names);
	if (!uname(&u))
		snprintf(bench.version, sizeof bench.version, "Linux %.*s",
			 (int)strcspn(u.release, "-+"), u.release);
	bench_prepare(&bench);
	bench_one_thread(run, NULL);
	bench_report(&bench);
	return 0;
}
