package config

import (
	"strings"
	"testing"
	"time"
)

var today = time.Date(2026, 11, 22, 15, 0, 0, 0, time.UTC)

func TestAWaiverIsOneBenchmarkOneUnitABoundADateAndAReason(t *testing.T) {
	for _, dash := range []string{"—", "-", "--"} {
		w := ParseWaiver("pool.Submit/state=fresh cpu-sec/op <=8.5% until=2026-12-31 "+dash+" the check is worth it", "abc", today)
		want := Waiver{Commit: "abc", Benchmark: "pool.Submit/state=fresh", Unit: "cpu-sec/op", Percent: 8.5, Until: "2026-12-31", Reason: "the check is worth it"}
		if w != want {
			t.Errorf("got %+v", w)
		}
	}
}

func TestAWaiverIsRefusedWithItsReason(t *testing.T) {
	for value, want := range map[string]string{
		"": "it cannot be read",
		"pool.Submit cpu-sec/op until=2026-12-31 — no bound":                "it cannot be read",
		"pool.Submit cpu-sec/op <=8%":                                       "it cannot be read",
		strings.Repeat("x", 1000) + " cpu-sec/op <=8% until=2026-12-31 — x": "it cannot be read",
		"pool.Submit cpu-sec/op <=8% until=2026-12-31":                      "it cannot be read", // no reason
		"pool.Submit cpu-sec/op <=0% until=2026-12-31 — x":                  "no bound",
		"pool.Submit cpu-sec/op <=1.2.3% until=2026-12-31 — x":              "no bound",
		"pool.Submit cpu-sec/op <=101% until=2026-12-31 — x":                "too wide",
		"pool.* cpu-sec/op <=8% until=2026-12-31 — x":                       "too wide",
		"pool.Submit cpu-sec/op <=8% until=31.12.2026 — x":                  "no date",
		"pool.Submit cpu-sec/op <=8% until=2026-11-21 — x":                  "expired on 2026-11-21",
		"pool.Submit cpu-sec/op <=8% until=2027-02-21 — ninety-one days":    "too long",
	} {
		w := ParseWaiver(value, "abc", today)
		if !strings.Contains(w.Refused, want) {
			t.Errorf("%q: refused %q, want %q", value, w.Refused, want)
		}
		if w.Covers(w.Benchmark, w.Benchmark, w.Unit) {
			t.Errorf("%q is refused and covers", value)
		}
	}
	// The last day and the ninetieth still count.
	for _, until := range []string{"2026-11-22", "2027-02-20"} {
		if w := ParseWaiver("a.B x/op <=8% until="+until+" — x", "abc", today); w.Refused != "" {
			t.Errorf("until %s: refused: %s", until, w.Refused)
		}
	}
}

func TestALongReasonIsClipped(t *testing.T) {
	if w := ParseWaiver("a.B x/op <=8% until=2026-12-01 — "+strings.Repeat("é", 4000), "abc", today); len(w.Reason) > waiverReasonMax+3 {
		t.Errorf("a reason of %d bytes", len(w.Reason))
	}
}
