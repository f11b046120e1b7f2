// Package bottleneck ranks what limits a program's throughput, from one version's
// profiles and from what its benchmarks report of themselves, and proposes what
// to do about each, with the most that it can bring.
//
// The one opinion it holds: a bottleneck is a cause in a place, such as hashing in
// package mempool, and is worth what the throughput gains if all of it were gone.
// That is an upper bound, is called so, and has an interval.
//
// # How a sample is filed
//
// The place of a sample is the package, of the module under test, of the frame
// nearest to the leaf; what that frame calls decides the cause, by patterns over
// the names of functions (Catalogue, in order: the first that matches). A sample
// with no call left is the package's own code. Stacks without a frame of the
// module belong to the nearest other module (not of the standard library), or to
// the runtime. Every sample is filed once, so that shares add up to the whole.
// The load generator, which is what the caller says it is, is shown apart and
// not ranked.
//
// The garbage collector runs on behalf of whoever allocates. Where there is an
// allocation profile, its CPU time is divided by bytes allocated: a collection is
// due each time the heap has grown by a fixed part, so that the number of
// collections is proportional to the bytes.
//
// # Intervals
//
// Each replicate is a process of its own and gives one value of each figure. An
// interval is Student's over these values, at 95 %, for each figure by itself.
// The variance of a CPU share is taken to be at least that of counting samples,
// p(1-p)/n, so that few samples that happen to agree are not called precise.
//
// # Bounds
//
//   - Amdahl (AFIPS 1967): without a share s of the CPU time of an operation,
//     throughput at the same utilisation grows by at most 1/(1-s).
//   - Utilisation law (Denning and Buzen, ACM Computing Surveys 10, 1978; Lazowska
//     et al., Quantitative System Performance, 1984, ch. 3): U = X·D for a resource
//     with demand D for each operation. So X <= m/D for m equal servers, and while
//     the demand stays, throughput can grow by at most 1/U.
//   - Little's law (Operations Research 9, 1961): with w of waiting for each
//     operation, L = X·w goroutines wait on average. Where L < 1, at most all of it
//     is in the way of every operation, and its end gives at most 1/(1-L). Waiting
//     uses no CPU, so that 1/U of the cores bounds it too; the smaller one counts.
//   - For modules that report visits V, busy time D and queue length Q for each
//     operation: service time S = D/V, U = X·D, residence time R = Q/(X·V).
//
// A rank over several benchmarks is by the geometric mean of the bounds, 1 where
// a benchmark does not have the cause; its ends are the means of the ends, which
// is wider than need be.
//
// It reads no file and takes no profile; the command line does.
package bottleneck
