package repo

import (
	"context"
	"fmt"
	"strings"
)

// Trailer is one trailer of a commit message.
type Trailer struct {
	Commit string
	Value  string
}

// Trailers lists the values of a trailer in the commits that head has and base
// has not, the latest commit first. Both are commit hashes.
func (r *Repo) Trailers(ctx context.Context, base, head, key string) ([]Trailer, error) {
	format := "--format=%H%x1f%(trailers:key=" + key + ",valueonly,unfold,separator=%x1e)"
	out, err := r.git(ctx, "log", "-z", format, "--end-of-options", base+".."+head)
	if err != nil {
		return nil, fmt.Errorf("reading the %s trailers of %.7s..%.7s: %w", key, base, head, err)
	}
	var trailers []Trailer
	for _, commit := range strings.Split(out, "\x00") {
		hash, values, ok := strings.Cut(commit, "\x1f")
		if !ok || strings.TrimSpace(values) == "" {
			continue
		}
		for _, value := range strings.Split(values, "\x1e") {
			trailers = append(trailers, Trailer{Commit: strings.TrimSpace(hash), Value: strings.TrimSpace(value)})
		}
	}
	return trailers, nil
}
