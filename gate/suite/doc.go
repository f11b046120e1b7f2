// Package suite says what a benchmark suite consists of: its manifest, a
// generated file that is checked in and lists every benchmark with its sizes,
// units and definition hash, and the functions that derive all this from the
// suite's source.
//
// The opinion it holds: a benchmark that vanished, was renamed or does other
// work than before must be noticed, so what a suite is expected to contain is
// written down, and what a benchmark does has a hash.
//
// # Sizes
//
// A suite is run in three sizes: smoke, gate and full. Which of them a
// benchmark belongs to is said where the benchmark is, by directives in the
// doc comment of its function:
//
//	// BenchmarkCertificate builds and checks one certificate.
//	//
//	//perfgate:sizes smoke gate full
//	//perfgate:sizes n=16 gate full
//	//perfgate:sizes n=64 full
//	func BenchmarkCertificate(b *testing.B) {
//
// The first line holds for all sub-benchmarks of the function. A line that
// begins with an element of a sub-benchmark's name overrides it for the
// sub-benchmarks that have this element between the slashes; where several
// apply, the last one wins. Sizes are spelled out and do not imply each other.
// Without a directive a benchmark belongs to gate and full. A directive that
// stands elsewhere, or that applies to no sub-benchmark, is an error.
//
// # Definitions
//
// The definition of a benchmark function is the function and every declaration
// that it reaches inside the suite's own packages. These are the test files of
// its package and, where the package lies below the suite's root (the folder
// that holds the manifest), all files of the packages below that root. A
// manifest in the module's own folder makes no root. What is measured, the
// product, is no part of a definition: it may change.
//
// What is reached is found by name, and errs on the large side: an identifier
// reaches every package-level declaration of that name, a type reaches all its
// methods, a constant in an iota group reaches the group. Always reached are
// TestMain, init functions, and variables named _ whose initializer calls
// something. Initializers of other variables that nothing names are not.
// Files that a reached declaration embeds count, and so does the folder
// testdata of the benchmark's package (but not the corpora of fuzz tests in
// it) where a reached string mentions "testdata".
//
// The hash is taken over the tokens that gofmt would print, without comments
// and without the freedom in breaking lines that gofmt leaves. Directives of
// the compiler (//go:noinline, //go:embed) and the import paths behind
// package names count. Neither the order of declarations nor the file in which
// they stand makes a difference.
//
// # Long benchmarks
//
// The manifest is written by running every benchmark for one iteration. An
// iteration of a soak is therefore best a slice of it, with the number of
// slices asked for by b.ReportMetric(n, "min-n").
//
// What it does not do: it runs nothing. The names of sub-benchmarks and their
// units are only known from running them, and are passed in.
package suite
