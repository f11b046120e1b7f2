// Command attribution measures how often perfgate names the right cause of a
// slowdown. It makes programs slower in known ways, lets perfgate check the change
// as it would a stranger's, and compares the suspects with what is known.
//
//	go run ./internal/attribution check [--only REGEX] [--build]
//	go run ./internal/attribution run --data DIR [--only REGEX] [--budget D]
//	go run ./internal/attribution report
//
// The one opinion it holds: what is right is written down before anything is
// measured. An injection names the functions whose blame is right, its definition
// has a hash, and a run counts for that definition only. Changing the answer
// afterwards asks for another run.
//
// The injections are in the files of the folder set, each of which is about one
// base: this repository, or a module of the proxy at one version. Every head side
// also renames local variables in innocent functions that the benchmark executes,
// since a real change touches more than its culprit.
//
// It does not judge the gate's error rates, which package calibrate does, and it
// decides nothing: the suspects are those of package culprit, read from the bundle
// that perfgate has left.
package main
