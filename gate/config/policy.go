package config

// Policy is what the gate asks of every benchmark, after perfgate.yml (read
// from the base side) was applied to the defaults. It is part of the bundle, so
// that a replay decides as the first run did.
type Policy struct {
	Rules []Rule `json:"rules,omitempty"`
}

// Rule applies to the benchmarks and units that it matches. Later rules win,
// field by field.
type Rule struct {
	// Match is a regular expression over "PKG.NAME" (see recording.Key.String);
	// empty matches all.
	Match string `json:"match,omitempty" yaml:"match"`
	// Unit is a unit in tidied form ("sec/op", "allocs/op"); empty matches all.
	Unit string `json:"unit,omitempty" yaml:"unit"`
	// Target is the slowdown that must be found, in percent: 5 (the default), 3 or 2.
	Target int `json:"target,omitempty" yaml:"target"`
	// Direction overrides what the suite's Unit lines say: "lower" or "higher" is better.
	Direction string `json:"direction,omitempty" yaml:"direction"`
	// Ignore leaves the pair out of the verdict; it is still shown and counted.
	Ignore bool `json:"ignore,omitempty" yaml:"ignore"`
	// Required makes an inconclusive result a failure to measure (exit 3).
	Required bool `json:"required,omitempty" yaml:"required"`
	// FailOn is "regression" (the default) or "never": report, but do not fail.
	FailOn string `json:"fail-on,omitempty" yaml:"fail-on"`
}
