// Package calibrate measures the error rates of a gate on the machine that it
// runs on: sessions whose truth is known are recorded, and everything that is
// said of them is a pure function of the record.
//
// A session is one run of a suite in the tool's own sampling plan, on two sides of
// which the same is known: equal trees (aa), a tree and the same with a generated
// edit that changes no behaviour (neutral), or equal trees of which the head side
// does one operation in K more (injected). The decisions that fell, and the log
// ratios that they fell on, are appended to a file of JSON lines. From that file
// come the rates with their intervals, the verdicts replayed and bootstrapped, and
// what the rules of other tools would have said of the same runs.
//
// The one opinion it holds: a rate without a count, an interval and the data is no
// rate. What it does not do: it measures nothing itself, and no verdict on a
// change depends on it.
package calibrate
