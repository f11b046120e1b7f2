// Package sim runs any number of mir nodes under seeded virtual time: the same
// modules as in production, with a network whose latency, reordering, loss,
// duplication and partitions are configured, crashes and restarts, and Byzantine
// nodes.
//
// One seed, one run. All randomness comes from one PCG generator, everything
// happens in the order of (virtual time, sequence number), and a node handles
// each input to completion, as mir.Node does. [Sim.TraceHash] digests the run,
// so that two runs can be compared byte for byte. A failure names the seed and
// the step that replays it.
//
// Faults. [Network] and [Sim.AddPartition] are the network's. [Sim.Crash] and
// [Sim.Restart] are those of nodes: [Sim.AtStep] crashes one right after any step,
// and the module table of its restart is made when it restarts. A Byzantine node
// runs the modules of a correct one behind a [Filter] that rewrites what they
// send, and sends whatever else it likes by [Sim.SendRaw]. [Counters] has every
// fault that happened.
//
// Messages really are encoded and decoded, so that codecs are exercised and
// wire bytes are exact. Events cost no time unless Config.EventCost says so.
//
// Cost on ordinary hardware: an event takes well under a microsecond beside
// what its module does, a message two heap operations and its codec. Memory is
// what the modules hold plus the messages and timers in flight.
//
// What sim does not do: no bandwidth or queueing in the network, no real clock
// and no goroutines. Active modules are refused; the network and the timer are
// sim's own.
package sim
