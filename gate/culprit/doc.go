// Package culprit says which part of a change made a benchmark slower: functions
// whose cost grew, crossed with what the change touches.
//
// The one opinion it holds: blame needs both. A function that grew and was not
// touched has been made to grow by somebody; a function that was touched and did
// not grow has made nobody slower. And "outside the diff" is an answer.
//
//   - Each stack of the profile belongs to the innermost function on it that the
//     change touches, with all that this one calls, and the innermost module
//     with another version counts as touched. So growth in a map, a sort or a
//     dependency is that of the changed code which calls it.
//   - Growth below no touched function belongs to what is touched and mentioned by
//     the innermost function on the stack that mentions any: a constant that makes
//     batches smaller slows down code that nobody touched. This is a hint, and
//     never above half the confidence.
//   - The garbage collector's growth belongs to whose allocations grew.
//   - Cost that left one touched function and appears in another has moved, and
//     only the difference counts.
//   - A callee that is slower below callers that nobody touched as well is slower
//     by itself, and its callers are not blamed.
//   - What is left is outside the diff, with what is known: other modules' versions,
//     data files, no touched function on any stack.
//
// It does not decide whether something is slower (package verdict does), and no
// answer of it changes an exit code.
package culprit
