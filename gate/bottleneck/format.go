package bottleneck

import (
	"fmt"
	"math"

	"github.com/perfgate/perfgate/gate/profdiff"
)

// percent is "12.3 % (11.0–13.6)".
func percent(i Interval) string {
	return fmt.Sprintf("%.1f %% (%.1f–%.1f)", 100*i.Value, 100*i.Lo, 100*i.Hi)
}

// times is "×1.14 (1.12–1.16)".
func times(i Interval) string {
	if i.Value >= boundMax {
		return fmt.Sprintf("×%d or more", boundMax)
	}
	return fmt.Sprintf("×%.2f (%.2f–%.2f)", i.Value, i.Lo, i.Hi)
}

// per writes an amount for each operation with half the width of its interval.
func per(i *Interval, metric profdiff.Metric) string {
	if i == nil {
		return "–"
	}
	half := (i.Hi - i.Lo) / 2
	if i.Value <= 0 {
		return profdiff.Format(0, metric)
	}
	return fmt.Sprintf("%s ±%.0f %%", profdiff.Format(i.Value, metric), math.Ceil(100*half/i.Value))
}

// plain is a number with its interval, with digits enough for its size.
func plain(i Interval) string {
	digits := max(0, 2-int(math.Floor(math.Log10(math.Max(i.Value, 1e-3)))))
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, i.Value, digits, i.Lo, digits, i.Hi)
}

// size is how large a finding is: "12.3 % (11.0–13.6) of CPU" or "0.2 waiting".
func (f Finding) size() string {
	if f.Share != nil {
		return percent(*f.Share) + " of CPU"
	}
	return plain(*f.Waiting) + " goroutines waiting"
}

// perOp is what a finding costs an operation.
func (f Finding) perOp() string {
	switch {
	case f.MutexNanos != nil:
		return per(f.MutexNanos, profdiff.Time) + " waiting"
	case f.BlockNanos != nil:
		return per(f.BlockNanos, profdiff.Time) + " waiting"
	case f.Bytes != nil && f.Bytes.Value >= 1:
		return fmt.Sprintf("%s, %s, %s", per(f.CPUNanos, profdiff.Time), per(f.Bytes, profdiff.Bytes), profdiff.Format(f.Objects.Value, profdiff.Objects))
	}
	return per(f.CPUNanos, profdiff.Time)
}
