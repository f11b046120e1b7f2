package config

import (
	"math"
	"strings"
	"testing"
	"time"
)

// What is proposed must be read as what was meant, or not be proposed.
func TestProposedWaiversAreReadAsTheyAreMeant(t *testing.T) {
	line, err := ProposeWaiver("cart.Add/items=1000-4", "cpu-sec/op", 16, "2026-03-31")
	if err != nil || line != "Perf-Accept: cart.Add/items=1000-4 cpu-sec/op <=16% until=2026-03-31 — REASON" {
		t.Errorf("%q, %v", line, err)
	}
	w := ParseWaiver(strings.TrimPrefix(line, WaiverTrailer+": "), "c", time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	if !w.Covers("", "cart.Add/items=1000-4", "cpu-sec/op") || w.Percent != 16 {
		t.Errorf("read as %+v", w)
	}
	if line, err := ProposeWaiver("A", "B/op", 1, ""); err != nil || !strings.Contains(line, "until=YYYY-MM-DD") {
		t.Errorf("without a day: %q, %v", line, err)
	}
	for _, tc := range []struct {
		benchmark, unit string
		percent         float64
	}{{"Odd name", "B/op", 5}, {"A", "B op", 5}, {"A*", "B/op", 5}, {"A", "B/op", 101}, {"A", "B/op", 0}, {"A", "B/op", math.Inf(1)}, {"A", "B/op", math.NaN()}, {"", "B/op", 5}, {"A\n", "B/op", 5}} {
		if line, err := ProposeWaiver(tc.benchmark, tc.unit, tc.percent, ""); err == nil {
			t.Errorf("%q %q %v: %q", tc.benchmark, tc.unit, tc.percent, line)
		}
	}
}
