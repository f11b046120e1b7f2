// Package mir is a framework for distributed protocols: a protocol author
// writes pure state machines, and mir carries events between them.
//
// How an event travels. A node holds a handful of modules. An [Event] is a
// concrete Go struct (its [Body]) addressed to one module by a small integer
// that [Names] interned when the node was wired. The node's single goroutine
// takes events off its queue and hands each to its module's Apply; what Apply
// emits goes to the end of the same queue, and the loop goes on until the queue
// is empty. Modules therefore run to completion one event at a time and need no
// locks.
//
// Two kinds of module exist. A passive [Module] is a pure transition: no clock,
// no goroutine, no randomness, no map-iteration order, no I/O. An [Active]
// module (the timer, the network) owns goroutines and injects batches of events
// through the node's bounded input, which pauses it when the node is behind.
//
// The same modules run under three schedulers: [Node], which uses real time; a
// Node with lanes ([Lane]), which gives heavy modules goroutines of their own;
// and package sim, which runs any number of nodes under seeded virtual time. All
// drive a [Machine]. The first and the last agree on every order by
// construction; Lane says what weakens with lanes.
//
// A module may consist of instances, addressed by [SubID]: [Group] creates them
// on demand, routes to them and collects them, and nests.
//
// Package dsl writes a module as the textbooks do, package eventlog records what
// nodes apply, and package instrument tells which module the time goes to.
//
// Of active modules, mir has [RealTimer] and [InprocNet]. Every buffer has a
// named bound: the node's input ([Watermarks], [DefaultInputBytesMax]), its queue
// and the backlogs of lanes ([DefaultQueueEventsMax]), timers ([RealTimersMax])
// and outboxes ([OutboxBounds]). InprocNet and Lane state who may wait for whom.
//
// Costs to expect: an event is about 32 bytes and an interface call, some tens
// of nanoseconds beside its module's work; an input costs a mutex and at worst a
// goroutine switch, shared by its batch.
//
// What mir does not do: it knows no protocol, no cryptography and no storage.
package mir
