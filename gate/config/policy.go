package config

import "regexp"

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
	// Baseline is "show" (the default) or "gate": an exact metric that is worse than
	// the stored baseline's fails, unless the base side's own runs show that the
	// change under test did not do it.
	Baseline string `json:"baseline,omitempty" yaml:"baseline"`
}

// The defaults of every rule.
const (
	DefaultTarget    = 5
	FailOnRegression = "regression"
	FailOnNever      = "never"
	BaselineShow     = "show"
	BaselineGate     = "gate"
)

// For resolves the policy for one benchmark (as "PKG.NAME") and unit: the
// defaults, then every rule that matches, in order, the later winning field by
// field. A rule whose Match is no regular expression matches nothing; Parse
// and Check refuse it.
func (p Policy) For(key, unit string) Rule {
	out := Rule{Target: DefaultTarget, FailOn: FailOnRegression}
	for _, r := range p.Rules {
		if r.Unit != "" && r.Unit != unit {
			continue
		}
		if r.Match != "" {
			if re, err := regexp.Compile(r.Match); err != nil || !re.MatchString(key) {
				continue
			}
		}
		out = out.over(r)
	}
	return out
}

// over lays the fields that r sets over those of base. Ignore and Required can
// be set but not unset: a bool that a rule leaves out looks like false.
func (base Rule) over(r Rule) Rule {
	if r.Target != 0 {
		base.Target = r.Target
	}
	if r.Direction != "" {
		base.Direction = r.Direction
	}
	if r.FailOn != "" {
		base.FailOn = r.FailOn
	}
	if r.Baseline != "" {
		base.Baseline = r.Baseline
	}
	base.Ignore = base.Ignore || r.Ignore
	base.Required = base.Required || r.Required
	return base
}
