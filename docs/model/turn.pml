/*
 * A foreign loop, and Polls between its Prepare and its Check: foreign.go and turn.go.
 * A notify is about something that the foreign loop waits for, a timer for example: to
 * have run what there is does not do, the wait has to end.
 */
#define ROUNDS 2
#define NOTIFIERS 2

byte changed;   /* how much has changed */
byte pending;   /* notified - accepted */
byte real;      /* those of them that are no reminders */
bool announced; /* a notifier has to write */
bool ready;     /* it has written, and no Poll has taken it */
byte finished;

inline kick() {
	if
	:: d_step { announced -> announced = false } -> ready = true /* N3, N4 */
	:: !announced
	fi
}

proctype notifier() {
	byte n;
	do
	:: n < ROUNDS ->
		changed++; /* N1 */
		d_step { pending++; real++ }; /* N2 */
		kick();
		d_step { n++; finished = finished + (n == ROUNDS) }
	:: else -> break
	od
}

/* Context.ask between Prepare and Check: it may take the event of the notifier. */
inline ask() {
	ready = false;
#ifndef BAD_NO_RETRACT
	announced = true
#endif
}

/* Context.enterTurn */
inline enterTurn() {
	again = reminded;
	reminded = false;
#ifndef BAD_NO_WITHDRAW
	if
	:: again ->
		if
		:: d_step { pending == 1 -> pending = 0 } -> ask() /* Gate.Withdraw */
		:: pending != 1
		fi
	:: else
	fi
#endif
}

/* Context.leaveTurn */
inline leaveTurn() {
	if
#if defined(BAD_NO_REMINDER)
	:: false ->
#elif defined(BAD_REMIND_ONCE)
	:: took ->
#else
	:: again || took ->
#endif
		d_step { /* Gate.Remind */
			if
			:: pending == 0 -> pending = 1; reminded = true
			:: else
			fi
		};
		kick()
	:: else
	fi
}

/* Context.iterate, between Prepare and Check */
inline poll() {
	enterTurn();
	if
	:: true -> /* TryPoll */
		if
		:: ask()
		:: true /* there is nothing to ask for */
		fi
	:: true -> /* Poll */
		announced = true; /* L1 */
		if
		:: d_step { pending != 0 -> assert(real != 0) } -> ask() /* L2: no reminder keeps it awake */
		:: pending == 0 ->
			if
			:: ready -> ready = false /* L3 */
			:: true /* something else has happened */
			fi;
			announced = true /* L4 */
		fi
	fi;
	d_step { took = pending != 0; pending = 0; real = 0 } /* L5 */
	leaveTurn()
}

proctype loop() {
	byte known; /* how much of it Prepare knew */
	bool zero, again, took, reminded;
	do
	:: true ->
		known = changed; /* Prepare: the timeout */
		reminded = false;
		announced = true; /* L1 */
		zero = pending != 0; /* L2 */
		do
		:: poll()
		:: break
		od;
		if
		:: zero
		:: !zero && ready /* L3 */
		:: true /* something else has happened */
		:: finished == NOTIFIERS && !zero && !ready ->
			assert(known == changed); /* no change is missed */
			break
		fi;
		announced = false; /* Check: L4 */
		ready = false;
		d_step { pending = 0; real = 0 } /* L5 */
	od
}

init {
	byte i;
	atomic {
		run loop();
		for (i : 1 .. NOTIFIERS) { run notifier() }
	}
}
