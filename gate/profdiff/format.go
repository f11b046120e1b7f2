package profdiff

import (
	"fmt"
	"math"
)

// Format is a value of a metric with three digits, in the unit that suits its
// size: "1.23 µs", "512 B", "3.5 objects".
func Format(v float64, m Metric) string {
	units, step := []string{" ns", " µs", " ms", " s"}, 1000.0
	switch m {
	case Bytes:
		units, step = []string{" B", " KiB", " MiB", " GiB"}, 1024
	case Objects:
		return digits(v) + " objects"
	case Goroutines:
		return digits(v) + " goroutines"
	}
	i := 0
	for math.Abs(v) >= step*.9995 && i < len(units)-1 {
		v, i = v/step, i+1
	}
	return digits(v) + units[i]
}

// digits are three significant ones, and no more than three places.
func digits(v float64) string {
	switch a := math.Abs(v); {
	case a >= 99.95 || a == 0:
		return fmt.Sprintf("%.0f", v)
	case a >= 9.995:
		return fmt.Sprintf("%.1f", v)
	case a >= .9995:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
