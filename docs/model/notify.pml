/*
 * The notify protocol of package aio: notify, accept, sleep and close, for spin 6.
 * README.md says how to read and run it. A comment with a letter and a digit names
 * a step; the same name stands at the line of aio/ that takes it.
 *
 * The properties are assertions; besides, spin looks for states in which everybody
 * waits.
 *
 * The macros, given with -D:
 *   EDGE        an edge-triggered notifier, which nobody reads; else level-triggered
 *   PARK        with EDGE: park mode, where a token that nobody owes is passed over
 *   NOTIFIERS   producers that call Notify
 *   SCHEDULERS  producers that call Schedule, each ...
 *   BHS         ... for one of so many bottom halves
 *   ROUNDS      how often each producer does so
 * and one of BAD_... to break the protocol in one place, see README.md.
 */

#ifndef NOTIFIERS
#define NOTIFIERS 2
#endif
#ifndef SCHEDULERS
#define SCHEDULERS 1
#endif
#ifndef BHS
#define BHS 3
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif

#define PRODUCERS (NOTIFIERS + SCHEDULERS)
#define CLOSING 32 /* more than there are users */

/* Context */
bool news; /* notified != accepted: that they differ is all that is ever asked */
bool notifyMe;
byte work; /* what callers of Notify want the loop to find: a set of producers */

/* BottomHalf and bhQueue. A set of bottom halves is a mask. The order in the stack
 * plays no part: take() returns all of it or, if there is a gap, nothing. */
byte scheduled; /* the bits queued and wantedNow of each */
byte top, linked;
byte taken; /* by the loop, but it has not seen all of it linked yet */
byte batch; /* what the loop has yet to run */

/* EventNotifier */
byte users;
bool open = true; /* else the number of the descriptor is somebody else's */
bool ready;       /* level: the counter is not 0. edge: written since the last wait */

/* What no program can see: for the properties only. */
byte finished; /* producers that have returned */
byte cost;     /* writes that were decided on since the loop was last about to sleep */
bool fresh;    /* there was a write since a wait was last ended by one */

#ifdef BAD_LATCH
bool latched; /* somebody has notified already */
#endif

#ifdef BAD_N3_BEFORE_N2
#define SEEN seen &&
#define MISSED !seen ||
#define LOOK_TOO_EARLY seen = notifyMe;
#else
#define SEEN
#define MISSED
#define LOOK_TOO_EARLY
#endif

inline write() {
	d_step { assert(open); ready = true; fresh = true } /* W2: no write after close */
}

/* EventNotifier.Set. W0 looks whether Close has begun; W1 counts the user and looks again. */
inline set() {
#ifdef BAD_UNGUARDED
	write()
#else
	if
	:: users >= CLOSING /* W0 */
	:: users < CLOSING ->
		if
		:: d_step { users < CLOSING -> users++ } -> /* W1 */
			write();
			users-- /* W3 */
		:: d_step { users >= CLOSING -> users++ } -> /* W1, refused */
			users-- /* W3 */
		fi
	fi
#endif
}

/* Context.kick and wake. The load before the exchange saves only the exchange. */
inline kick() {
#if defined(BAD_LATCH)
	if
	:: d_step { !latched -> latched = true } ->
		set();
		latched = false
	:: latched
	fi
#elif defined(BAD_NO_EXCHANGE)
	if
	:: notifyMe ->
		d_step { notifyMe = false; cost++; assert(cost <= 1) };
		set()
	:: !notifyMe
	fi
#else
	if
	:: d_step { SEEN notifyMe -> notifyMe = false; cost++; assert(cost <= 1) } -> /* N3: one sleep costs one write */
		set() /* N4 */
	:: MISSED !notifyMe
	fi
#endif
}

inline next() { d_step { n++; finished = finished + (n == ROUNDS) } }

/* Context.Notify, and what its caller does before */
proctype notifier(byte me) {
	byte n;
	bool seen;
	do
	:: n < ROUNDS ->
		work = work | (1 << me); /* N1 */
		LOOK_TOO_EARLY
		news = true; /* N2 */
		kick();
		next()
	:: else -> break
	od
}

/* BottomHalf.Schedule */
proctype scheduler(byte b) {
	byte n;
	bool seen;
	do
	:: n < ROUNDS ->
		LOOK_TOO_EARLY
		if
		:: d_step { (scheduled & (1 << b)) == 0 -> scheduled = scheduled | (1 << b) } -> /* S1 */
			top = top | (1 << b); /* Q1 */
#ifdef BAD_KICK_IN_GAP
			kick();
			linked = linked | (1 << b)
#else
			linked = linked | (1 << b); /* Q2 */
			kick()
#endif
		:: scheduled & (1 << b) /* S1: whoever has put it there notifies */
		fi;
		next()
	:: else -> break
	od
}

/* bhQueue.quiet: behind a gap there may be something though the stack is empty. */
#ifdef BAD_QUIET
#define QUIET top == 0
#else
#define QUIET taken == 0 && top == 0
#endif

/* bhQueue.take, in gather, unless it is quiet. Only the loop empties the stack, and what is linked
 * stays linked, so two steps are enough. */
inline take() {
	if
	:: QUIET
	:: else ->
		if
		:: taken == 0 -> d_step { taken = top; top = 0 } /* Q3 */
		:: else
		fi;
		d_step {
			if
			:: (taken & ~linked) == 0 -> /* Q4 */
				batch = batch | taken; linked = linked & ~taken; taken = 0
			:: else
			fi
		}
	fi
}

inline arm() { d_step { notifyMe = true; cost = 0 } } /* L1 */

/* An event of the notifier ends a wait. Edge: the poller takes it away. Level: it
 * is there until the counter is read, which may take in later writes as well. */
inline event() {
#ifdef EDGE
	d_step { ready -> assert(fresh); fresh = false; ready = false }
#else
	d_step { ready -> assert(fresh); fresh = false; read = true } /* one write ends one wait at most */
#endif
}

inline clear() {
#ifndef EDGE
	if
	:: read ->
#ifndef BAD_UNREAD
		d_step { assert(open); ready = false; fresh = false };
#endif
		read = false
	:: else
	fi
#else
	skip
#endif
}

inline accept() { news = false } /* L5 */

inline lookForWork() {
	take();
	d_step { work = 0; scheduled = scheduled & ~batch; batch = 0 } /* L6, S2 */
}

/* Context.Poll and TryPoll in turns, then Close. */
proctype loop() {
	bool read;
	do
	:: true -> /* Poll */
		take();
#ifdef BAD_L2_BEFORE_L1
		take();
		if
		:: batch == 0 && !news -> arm(); goto sleep
		:: else -> arm()
		fi;
#else
		if
		:: batch != 0 -> goto look
		:: else -> arm()
		fi;
		take();
		if
		:: batch == 0 && !news -> goto sleep /* L2 */
		:: else
		fi;
#endif
look:	/* without sleeping */
		if
		:: event()
		:: true /* what is there may be reported later; or the poller is not even asked */
		fi;
		goto awake;
sleep:	if /* L3 */
#ifdef PARK
		:: event() ->
			if
			:: notifyMe -> goto sleep /* the token of an earlier event */
			:: else
			fi
#else
		:: event()
#endif
		:: true /* something else has happened */
		:: true -> goto end /* a foreign loop has called Prepare, and does not come back */
		:: finished == PRODUCERS && !ready ->
			/* Nobody is left who could end this sleep. */
			assert(work == 0 && scheduled == 0); /* no wake-up is lost */
			goto end
		fi;
awake:	notifyMe = false; /* L4 */
		clear();
#ifdef BAD_L6_BEFORE_L5
		lookForWork();
		accept()
#else
		accept();
		lookForWork()
#endif
	:: true -> goto look /* TryPoll */
	:: true -> break
	od;
end:	users = users + CLOSING; /* C1 */
#ifndef BAD_CLOSE_AT_ONCE
	users % CLOSING == 0; /* C2 */
#endif
	open = false /* C3 */
}

init {
	byte i;
	atomic {
		run loop();
		do
		:: i < NOTIFIERS -> run notifier(i); i++
		:: i >= NOTIFIERS && i < PRODUCERS -> run scheduler((i - NOTIFIERS) % BHS); i++
		:: else -> break
		od
	}
}
