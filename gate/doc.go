// Package gate and the packages below it are perfgate: they measure two versions
// of a Go module and decide whether one got slower.
//
// This package holds no code. It is the pipeline in one picture:
//
//	refs, perfgate.yml, manifest
//	  |  repo, config, suite
//	  v
//	two trees, one policy
//	  |  measure (on machine)       build, plan, exact runs, pairs in rounds;
//	  |     ^                       verdict's tracker says when to stop
//	  v     |
//	samples and outcomes            baseline: the stored exact metrics beside them
//	  |  recording
//	  v
//	bundle  <- the contract: everything below reads nothing else;
//	  |         of what became slower it has profiles, and what the change touches
//	  |  compare                    effect, interval, evidence
//	  v
//	changes
//	  |  verdict                    changes x policy, error rates
//	  v
//	verdict
//	  |  profdiff, culprit          functions that differ, and who is to blame
//	  v
//	suspects
//	  |  report                     terminal, JSON, markdown
//	  v
//	what a person sees, and the exit code
//
// Package cli wires them together, one file per command. From the bundle on,
// everything is pure: the same bundle gives the same bytes.
package gate
