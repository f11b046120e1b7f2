// Package compare turns samples into changes: effect, interval, p-value and
// doubts. Its opinion is that noise belongs to the moment and not to the code, so
// that only runs of the same moment are compared: the unit of all timed
// statistics is the pair. It decides nothing; package verdict does.
// docs/METHOD.md has the formulas and their sources.
package compare
