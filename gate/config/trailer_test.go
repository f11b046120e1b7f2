package config

import (
	"slices"
	"testing"
)

// What git takes for trailers, and nothing else: `git interpret-trailers --parse`
// gave these answers.
func TestTrailersAreThoseOfGit(t *testing.T) {
	for message, want := range map[string][]string{
		"title\n\nPerf-Accept: a": {"a"},
		"title\n\nbody\n\nPerf-Accept: a\nSigned-off-by: me\nPerf-Accept: b\n": {"a", "b"},
		"title\r\n\r\nPerf-Accept: a\r\nperf-accept : b\r\n":                   {"a", "b"},
		"title\n\nPerf-Accept: a\n  and more\n\tof it\nOther: x\n  y\n":        {"a and more of it"},
		"title\n\nPerf-Accept:\n\n\n":                                          {""},
		"Perf-Accept: a title is no trailer":                                   nil,
		"title\nPerf-Accept: nor is the rest of the first paragraph":           nil,
		"title\n\nPerf-Accept: not in the last paragraph\n\nbody":              nil,
		"title\n\nbody\nPerf-Accept: a line of the body":                       nil,
		"title\n\nbody\nPerf-Accept: a\nSigned-off-by: me":                     {"a"},
		"title\n\n1\n2\n3\n4\n5\n6\n7\nPerf-Accept: a\nSigned-off-by: me":      nil,
		"title\n\nPerf Accept: a":                                              nil,
		"title\n\nNot-Perf-Accept: a":                                          nil,
		"":                                                                     nil,
		"\n\n":                                                                 nil,
	} {
		if got := Trailers(message, WaiverTrailer); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", message, got, want)
		}
	}
}
