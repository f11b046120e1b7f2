// Package measure takes the samples: it builds both sides, plans how often each
// benchmark runs and in which channel, and runs the two sides interleaved in
// fresh processes until a stopping rule that it is given has seen enough.
//
// The order of things: build everything; plan on base, one process per
// benchmark function; exact runs; co-run pairs in rounds; wall pairs in rounds.
// A benchmark that fails to build, crashes, hangs, prints garbage or vanishes
// becomes an outcome with its own name. It is never dropped.
//
// What it does not do: it computes no statistic and decides nothing.
package measure
