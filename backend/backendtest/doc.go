// Package backendtest is the conformance suite for implementations of
// backend.Poller. It imports nothing of aioloop but package backend, so that a
// Poller from elsewhere is tested like the three that come with it:
//
//	func TestConformance(t *testing.T) {
//		backendtest.Test(t, func() (backend.Poller, error) { return mypoller.New() })
//	}
//
// A capability (backend.EdgeTriggered, Binder, Stayer, Peeker, Pollable,
// Submitter) is tested if the Poller has it; the log says which it has.
//
// The suite starts the test binary again for what needs a process of its own, so
// Test is called from a plain test function, before anything else in it.
//
// # Known traps
//
// Bugs that were shipped, by their number in the list that the project
// keeps, and the subtests that fail without the remedy:
//
//	 2  idle requests die with a thread            trap02_idle_under_thread_churn
//	 3  opened on one thread, waited for on another trap03_opened_here_waited_for_there
//	 5  doorbell deaf after a queue overflow        trap05_doorbell_after_a_flood
//	 6  partial read is never reported again        trap06_partial_read_is_reported_again
//	 7  a notifier spins                            trap07_one_write_one_event
//	 8  readiness that has gone                     trap08_event_taken_by_another_reader
//	 9  flags of the descriptor change              trap09_flags_are_left_alone
//	10  events after close                          trap10_dup_and_close_*
//	11  peer does not see the end of the file       trap11_peer_sees_end_of_file_*
//	12  late event of a reused number               trap12_*, modify_drops_what_was_collected
//	13  lost wake-up                                trap13_no_wakeup_is_lost
//	14  change during a Wait                        trap14_changes_during_a_wait, changes_from_many_goroutines
//	17  completions stuck behind a full queue       trap17_many_more_events_than_queues_hold
//	18  looking in user space sees nothing          trap18_peek_alone_sees_the_event
//	19  signals lengthen a timeout                  trap19_signals_do_not_lengthen_a_wait
//	20  a timeout rounded down to a busy loop       trap20_*, timeout_is_never_early
//	21  a kind of file that one backend refuses     trap21_*, edge_on_always_ready_files
//	22  the kernel or a limit says no               trap22_*
//	24  a kernel thread that polls                  trap24_no_polling_kernel_thread
//	30  memory that the kernel writes to moves      trap30_*
//
// Row 4, COOP_TASKRUN where the home thread does not wait, is tested by running
// the whole suite on such a ring (backend/iouring), and row 25 is that package's
// too. The others are the loop's, or need a machine of their own: docs/traps.md
// has all rows and all tests.
//
// # Faults
//
// TestFaults is for a Poller whose author can make its system calls fail: rows 11, 17
// and 19 once more, and that a failed call loses nothing and no goroutine spins.
//
// # Time
//
// Nothing is waited for by sleeping. Where a bound on time is tested, something
// has to be in time once in many attempts, which a busy machine cannot prevent;
// that it happens at all has 20 seconds. With -short the suite takes about three
// seconds, otherwise ten more, for row 2.
package backendtest
