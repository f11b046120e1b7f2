// Package compare turns samples into changes: effect, interval, p-value and
// doubts. It decides nothing; package verdict does.
package compare
