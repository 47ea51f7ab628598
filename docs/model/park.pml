/*
 * A parked loop: the token that ends its sleep, and what the watcher says about the
 * Poller's descriptor. park.go.
 */
#define ROUNDS 2

bool data;     /* the Poller has an event */
bool edge;     /* the watcher has not heard of it yet */
bool readable; /* the watcher has, and the Poller was not asked since */
bool token;
bool news, announced; /* the notify protocol: see notify.pml */

/* What becomes readable: a descriptor, the alarm, or the notifier. */
proctype descriptor() {
	byte n;
	do
	:: n < ROUNDS ->
		d_step { data = true; edge = true };
		n++
	:: else -> break
	od
}

/* A notifier that is about to stop: it puts the token itself. */
proctype notifier() {
	byte n;
	do
	:: n < ROUNDS ->
		news = true; /* N2 */
		if
		:: d_step { announced -> announced = false } -> token = true /* N3, N4 */
		:: !announced
		fi;
		n++
	:: else -> break
	od
}

proctype watcher() {
end:	do
	:: d_step { edge -> edge = false } ->
#ifdef BAD_TOKEN_FIRST
		token = true;
		readable = true
#else
		readable = true;
		token = true
#endif
	od
}

/* parker.ask */
inline ask() {
#ifdef BAD_CLEAR_LATE
	d_step { found = data; data = false };
	readable = false
#else
	readable = false;
	d_step { found = data; data = false }
#endif
}

proctype loop() {
	bool found;
	do
	:: true ->
		announced = true; /* L1 */
		if
		:: news -> goto awake /* L2 */
		:: !news
		fi;
park:		found = false;
		if
		:: readable -> goto look
		:: !readable
		fi;
		if
		:: d_step { token -> token = false }
		:: timeout -> assert(!data && !news); break /* no event is missed */
		fi;
		if
		:: readable -> goto look
		:: !readable -> goto decide
		fi;
look:		ask();
decide:		if
		:: !found && announced -> goto park /* the token of an earlier event */
		:: found || !announced
		fi;
awake:		announced = false; /* L4 */
		news = false /* L5 */
	od
}

init {
	atomic { run loop(); run descriptor(); run notifier(); run watcher() }
}
