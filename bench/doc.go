// Package bench measures how long it takes from a notification to the callback,
// on each backend of the library and on what a Go program would use instead.
//
// The same code serves go test -bench and the command bench/cmd/aiobench. What is
// measured is a list of scenarios; each consists of groups, one for each setting
// of its parameters; a group consists of cases, one for each row of the table.
//
// How the measurements are made, and why:
//
//   - The cases of a group take turns in short rounds, in an order that changes
//     from round to round, and only one of them exists at a time. Computers, and
//     virtual ones more so, change their speed within seconds: whatever happens
//     then happens to all rows.
//   - Each round begins with a warm-up that is thrown away. The garbage collector
//     runs before it and is switched off from there to the end of the round.
//   - Latencies go into HDR histograms. Each sample contains one reading of the
//     clock, whose cost the report states. Operations that take not much longer
//     than that are timed in batches, and the result says so.
//   - Every scenario but open-loop is closed: the next event is not made before the last
//     one was handled. So what is measured is latency, not how a queue grows, and a stall
//     counts once, however many events it would have delayed. In open-loop, events come at
//     fixed times, and the latency of each counts from the time at which it was due.
//   - Threads that a case needs on a certain CPU are locked and pinned, and
//     thrown away afterwards. The rows in plain Go keep their goroutines unlocked,
//     because a locked goroutine is slow to switch to and no program does it
//     so; instead, all threads of the process are kept on the CPU in question.
//     What could not be pinned is said in the result.
//   - A program of bench/peers, for comparison, is a process of its own. It is started
//     in each round when its turn comes, pinned like the rows of the library, and its
//     samples are treated like the others.
//   - A backend in another mode of the loop, or with another option, is a row of its
//     own, "io_uring park" for example. See variants.
//   - Rows are compared by the ratio of their medians in the same round: the median of
//     the rounds, the lowest and the highest.
//   - The scenarios with files keep several requests under way, where the latency of one is not
//     what it costs: there rows are compared by the time of all divided by their number, and by
//     CPU time. The run makes its files itself, and removes them. Right before each
//     measurement it brings the file into the page cache, or out of it, and right before and
//     behind it counts with mincore(2) how much of it is there: the report shows both. What was
//     evicted in between is measured again.
//   - What a coroutine does stands beside the same in a callback, on the same backend and in the
//     same rounds: that is the floor of its row in the scenario coroutine.
//   - A case fails if the live backend is not the one it is named after, and if a
//     callback did not run once for each operation.
package bench
