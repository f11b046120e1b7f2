package config

import (
	"fmt"
	"time"
)

// Version is the version of perfgate.yml that this package reads.
const Version = 1

// Config is perfgate.yml, validated.
type Config struct {
	// Suites are the sets of benchmarks by name; "smoke" is the default one.
	Suites map[string]Suite
	Policy Policy
	// Inputs are files and folders, relative to the module, that benchmarks read
	// at run time and that the build does not know of.
	Inputs []string
	// Waivers says whether a regression can be accepted.
	Waivers Waivers
	// Comment is when a pull request gets a comment: CommentAlways,
	// CommentOnChange or CommentNever.
	Comment string
	// Baseline is the path (relative to the module), the branch (see Branch) or
	// the URL of stored baselines, or empty.
	Baseline string
}

// Suite is a set of benchmarks with a time budget.
type Suite struct {
	Packages []string // patterns for go list; never empty
	Bench    string   // a -test.bench pattern; "." is all
	// Budget is the time for the whole two-sided measurement with its builds; 0
	// is none.
	Budget time.Duration
	// Manifest is the path of the list of expected benchmarks, relative to the
	// module, or empty: then the base side's benchmarks are expected.
	Manifest string
}

// Waivers says whether, and by whom, a regression can be accepted.
type Waivers struct {
	Allow bool
	// By lists who may grant one; empty with Allow means anyone who may merge.
	By []string
}

// The values of Config.Comment.
const (
	CommentAlways   = "always"
	CommentOnChange = "on-change"
	CommentNever    = "never"
)

// Default is the configuration of a module without perfgate.yml: no suites,
// no policy beyond the defaults, no waivers.
func Default() *Config {
	return &Config{Suites: map[string]Suite{}, Comment: CommentOnChange}
}

// Error is a mistake in perfgate.yml. Its text says where, what, and what to
// write instead.
type Error struct {
	File string
	Line int
	Msg  string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg) }
