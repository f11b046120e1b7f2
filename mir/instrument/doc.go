// Package instrument tells which module of a node the time goes to: in CPU
// profiles by labels, in execution traces by regions, and in counters.
//
// A node that was given an [Instrument] (mir.NodeConfig.Instrument) tells it when
// the turn passes from one module to another, on each goroutine that applies
// events. During a turn, which is a batch of events of one module,
//
//   - with labels on, the goroutine carries the profiler labels [LabelNode],
//     [LabelLane] and [LabelModule], so that `go tool pprof -tagfocus` and
//     `-tagroot` split a profile by module;
//   - while a runtime/trace runs, the turn is a region named after the module;
//   - with times on, the module's time is counted: mir.ModuleCounters.Spent.
//
// Events, queue lengths and bytes are counted by the node in any case.
//
// The one opinion: labels and times are switches that an operator turns while
// the node runs, around a profile, and not settings of a build. Regions need no
// switch, since the runtime says whether it traces.
//
// Costs: nothing without an Instrument. With one and everything off, three loads
// a turn, a few nanoseconds. Labels cost some nanoseconds a turn and times one or
// two readings of the clock, some 50 ns each. Nothing allocates, but for regions
// while a trace runs.
//
// What it does not do: it looks at no event, and exports nothing; whoever serves
// metrics or profiles reads the node's counters.
package instrument
