// Package verdict decides: when a test needs no more pairs, and what a bundle
// says as a whole. Both are the same code, a Tracker that is driven live by a
// measurement and again by Decide, so that a replay cannot disagree. It is pure,
// and fails closed: what was not measured has not passed.
package verdict
