package config

import (
	"errors"
	"fmt"
	"time"
)

// ProposeWaiver is the trailer that asks for a slowdown of a benchmark to be
// accepted, with the reason left to its author, and the day too where until is
// empty. It is an error where no trailer can say so: ParseWaiver would not read
// it as one that covers the benchmark.
func ProposeWaiver(benchmark, unit string, percent float64, until string) (string, error) {
	write := func(until string) string {
		return fmt.Sprintf("%s %s <=%g%% until=%s — REASON", benchmark, unit, percent, until)
	}
	anyDay := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	switch w := ParseWaiver(write(anyDay.Format(time.DateOnly)), "", anyDay); {
	case w.Refused != "":
		return "", errors.New(w.Refused)
	case !w.Covers(benchmark, benchmark, unit):
		return "", fmt.Errorf("a trailer cannot name %q in %q", benchmark, unit)
	}
	if until == "" {
		until = "YYYY-MM-DD"
	}
	return WaiverTrailer + ": " + write(until), nil
}
