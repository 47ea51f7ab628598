/*
 * EventNotifier.Close, beside callers that go on calling Set: Close ends. This needs a
 * scheduler that lets each goroutine go on now and then, no more: weak fairness.
 */
#define CLOSING 32

byte users;
bool ended;

active [3] proctype caller() {
	bool refused;
	do
	:: true ->
#ifndef BAD_COUNT_REFUSED
		if
		:: users >= CLOSING -> goto again /* W0 */
		:: else
		fi;
#endif
		d_step { users++; refused = users >= CLOSING }; /* W1 */
		if
		:: refused
		:: !refused -> assert(!ended) /* W2 */
		fi;
		users--; /* W3 */
again:		skip
	od
}

active proctype closer() {
	users = users + CLOSING; /* C1 */
	users % CLOSING == 0; /* C2 */
	ended = true /* C3 */
}

ltl closeEnds { <> ended }
