package calibrate

import (
	"math"
	"slices"
	"testing"
)

// rising are n values from first on in steps.
func rising(n int, first, step float64) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = first + step*float64(i)
	}
	return x
}

func ruleNamed(t *testing.T, name string) Rule {
	t.Helper()
	for _, r := range Rules() {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("there is no rule %q", name)
	return Rule{}
}

// By hand, for runs of 100 to 109: all of 120 to 129 lie above all of these, the
// least p there is; mean and median are 19 % higher, the minimum 20 %. At 104 to
// 113, by 3.8 % and 4 %, the U-statistic is 6·7/2 = 21 of 100 (ties count half: 18),
// p = .017. A mean of 104.5 against 104 is a t of 0.4.
func TestRulesDecideAsTheirNamesSay(t *testing.T) {
	base := rising(10, 100, 1)
	lateBurst := slices.Clone(base)
	lateBurst[9] = 1000 // a mean of 193.6, and a median of 104.5
	for _, c := range []struct {
		rule string
		head []float64
		want bool
	}{
		{"benchstat, p < .05, n=10", rising(10, 120, 1), true},
		{"benchstat, p < .05, n=10", rising(10, 80, 1), false}, // faster
		{"benchstat, p < .05, n=10", rising(10, 104, 1), true},
		{"benchstat, p < .05, n=10", rising(10, 100.5, 1), false},
		{"benchstat, p < .05 and at least 5 %, n=10", rising(10, 104, 1), false},
		{"benchstat, p < .05 and at least 5 %, n=10", rising(10, 106, 1), true},
		{"mean more than 10 % higher, n=10", rising(10, 110, 1), false}, // 9.57 %
		{"mean more than 10 % higher, n=10", rising(10, 111, 1), true},  // 10.5 %
		{"mean more than 10 % higher, n=10", lateBurst, true},
		{"Welch's t-test, p < .05, n=10", rising(10, 104, 1), true}, // t = 4 / 1.354 = 2.95
		{"Welch's t-test, p < .05, n=10", rising(10, 102, 1), false},
		{"Welch's t-test, p < .05, n=10", lateBurst, false},
		{"Welch's t-test, p < .05, n=10", rising(10, 80, 1), false},
		{"minimum more than 5 % higher, n=10", rising(10, 105, 1), false},
		{"minimum more than 5 % higher, n=10", rising(10, 105.1, 1), true},
		{"minimum more than 5 % higher, n=10", lateBurst, false},
		{"one run, 2x", []float64{200}, true},
		{"one run, 2x", []float64{199}, false},
	} {
		r := ruleNamed(t, c.rule)
		if got := r.Slower(base[:r.N], c.head[:r.N]); got != c.want {
			t.Errorf("%s of %v: %v, want %v", c.rule, c.head, got, c.want)
		}
	}
}

// A t-test that only found what is there by chance would find it as often in either
// direction: exchanging the sides must not be slower too.
func TestNoRuleCallsBothOfTwoSidesSlower(t *testing.T) {
	a, b := rising(20, 100, 1), rising(20, 103, 3)
	for _, r := range Rules() {
		if r.Slower(a[:r.N], b[:r.N]) && r.Slower(b[:r.N], a[:r.N]) {
			t.Errorf("%s calls each side slower than the other", r.Name)
		}
	}
}

func TestRulesSeeTheRunsOfThePairs(t *testing.T) {
	b := benchmark("A", []float64{.1, -.1, 0}, "pass")
	base, head, ok := b.runs(2)
	if !ok || len(base) != 2 || base[0] != 100 || math.Abs(head[0]-100*math.Exp(.1)) > 1e-9 || math.Abs(head[1]-100*math.Exp(-.1)) > 1e-9 {
		t.Errorf("base %v, head %v, %v", base, head, ok)
	}
	if _, _, ok := b.runs(4); ok {
		t.Error("four runs were taken from three pairs")
	}
}
