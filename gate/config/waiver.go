package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// WaiverTrailer is the commit trailer that asks for a regression to be accepted:
//
//	Perf-Accept: mempool.Submit/state=fresh cpu-sec/op <=8% until=2026-12-31 — the check is worth it
const WaiverTrailer = "Perf-Accept"

// Limits of a waiver. One that is wider asks for a gate without a gate.
const (
	WaiverPercentMax = 100
	WaiverDaysMax    = 90
	waiverReasonMax  = 300  // bytes
	waiverNamesMax   = 1000 // bytes, of the benchmark, the unit and the date
)

// Waiver accepts a slowdown of one benchmark in one unit, up to a bound and a
// date.
type Waiver struct {
	Commit    string  `json:"commit"`    // that carries the trailer
	Benchmark string  `json:"benchmark"` // as reports name it, or with its whole package path
	Unit      string  `json:"unit"`
	Percent   float64 `json:"percent"` // the greatest slowdown that is accepted
	Until     string  `json:"until"`   // the last day, as 2006-01-02
	Reason    string  `json:"reason"`
	// Refused says why it does not count; empty where it does.
	Refused string `json:"refused,omitempty"`
}

var waiverForm = regexp.MustCompile(`^(\S+)\s+(\S+)\s+<=\s*([0-9.]+)\s*%\s+until=(\S+)\s+(?:—|–|-+)\s+(.+)$`)

// ParseWaiver reads the value of a trailer. What cannot be read, and what is too
// wide, comes back as a waiver that is refused: a request is never lost.
func ParseWaiver(value, commit string, today time.Time) Waiver {
	w := Waiver{Commit: commit, Reason: clip(value, waiverReasonMax)}
	m := waiverForm.FindStringSubmatch(strings.TrimSpace(value))
	if m == nil || len(m[1])+len(m[2])+len(m[4]) > waiverNamesMax {
		w.Refused = "it cannot be read; write: " + WaiverTrailer + ": BENCHMARK UNIT <=8% until=2006-01-02 — reason"
		return w
	}
	w.Benchmark, w.Unit, w.Until, w.Reason = m[1], m[2], m[4], clip(m[5], waiverReasonMax)
	percent, err := strconv.ParseFloat(m[3], 64)
	w.Percent = percent
	until, dateErr := time.Parse(time.DateOnly, w.Until)
	day := today.UTC().Truncate(24 * time.Hour)
	switch {
	case err != nil || percent <= 0:
		w.Refused = fmt.Sprintf("%q is no bound in percent", m[3])
	case percent > WaiverPercentMax:
		w.Refused = fmt.Sprintf("it is too wide: at most %d %% can be accepted", WaiverPercentMax)
	case strings.ContainsAny(w.Benchmark, "*?[]()|^$"):
		w.Refused = "it is too wide: name one benchmark, no pattern"
	case dateErr != nil:
		w.Refused = fmt.Sprintf("%q is no date: write it as 2006-01-02", w.Until)
	case until.Before(day):
		w.Refused = "it expired on " + w.Until
	case until.After(day.AddDate(0, 0, WaiverDaysMax)):
		w.Refused = fmt.Sprintf("it is too long: at most %d days can be granted", WaiverDaysMax)
	}
	return w
}

// Covers tells whether the waiver names this benchmark and unit. A benchmark is
// named by its key ("example.org/m/pool.BenchmarkSubmit/state=fresh") or as
// reports shorten it ("pool.Submit/state=fresh").
func (w Waiver) Covers(key, shown, unit string) bool {
	return w.Refused == "" && w.Unit == unit && (w.Benchmark == key || w.Benchmark == shown)
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
