package artifact

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/perfgate/perfgate/gate/recording"
)

// Shard is one artifact, read.
type Shard struct {
	Name
	Outcome Outcome
	// Bundle is nil where the job made none; Hash is its identity.
	Bundle *recording.Bundle
	Hash   string
	bytes  int64
}

// read reads the bundle's files. A bundle of the whole suite is the only shard of
// one.
func (s *Shard) read(files map[string][]byte) error {
	b, err := recording.ReadFiles(files)
	if err != nil {
		return err
	}
	switch have := b.Manifest.Shard; {
	case have == nil && s.Count == 1 && len(b.Manifest.Parts) == 0:
	case have == nil || have.Index != s.Index || have.Count != s.Count:
		return fmt.Errorf("the bundle is not that of shard %s", s.Shard())
	}
	s.Bundle, s.Hash = &b, recording.HashFiles(files)
	return nil
}

// Listed is one artifact of a run as a listing of them says.
type Listed struct {
	ID      int64
	Name    string
	Size    int64 // of the archive
	Expired bool
}

// Missing is a shard that is not there, and why. Why may quote the artifact.
type Missing struct {
	Index int
	Why   string
}

// Results are the shards of one run.
type Results struct {
	Count   int
	Shards  []Shard // that have a bundle, by index
	Missing []Missing
}

// ErrNone: a run has no artifact of perfgate.
var ErrNone = errors.New("the run has no artifact called perfgate-ATTEMPT-INDEX-of-COUNT")

// Collect picks, for each shard, the artifact of the highest attempt (when only
// failed jobs run again, the others' artifacts are of an earlier one) and reads
// it. attempt is the one that the run has reached: a higher one is a forgery.
// What cannot be read is missing; the error is for a listing that says nothing
// about the shards at all.
func Collect(listed []Listed, attempt int, read func(Name, Listed) (Shard, error)) (Results, error) {
	names, byName, err := pick(listed, attempt)
	if err != nil {
		return Results{}, err
	}
	r := Results{Count: names[0].Count}
	total, work := int64(0), int64(0)
	next := 0
	for index := 1; index <= r.Count; index++ {
		if next == len(names) || names[next].Index != index {
			r.miss(index, "it uploaded nothing: its job was cancelled or never came that far; look at the run")
			continue
		}
		n := names[next]
		next++
		s, err := readListed(n, byName[n], read)
		if total += s.bytes; err == nil && total > RunBytesMax {
			err = fmt.Errorf("the bundles of the run are larger than %d bytes together", int64(RunBytesMax))
		}
		// Where others are missing, each is decided by itself.
		if err == nil {
			work += steps(s.Bundle)
			err = checkWork(s.Bundle, work)
		}
		if err != nil {
			r.miss(index, err.Error())
			continue
		}
		r.Shards = append(r.Shards, s)
	}
	return r, nil
}

// pick gives the names to read, by index.
func pick(listed []Listed, attempt int) ([]Name, map[Name][]Listed, error) {
	if len(listed) > ListedMax {
		return nil, nil, fmt.Errorf("the run has %d artifacts, at most %d are looked at", len(listed), ListedMax)
	}
	byName := map[Name][]Listed{}
	var names []Name
	for _, l := range listed {
		n, ours := parseName(l.Name)
		switch {
		case !ours:
			continue
		case !n.possible():
			return nil, nil, fmt.Errorf("artifact %s is of a shard that no run has", n)
		case n.Attempt > attempt:
			return nil, nil, fmt.Errorf("artifact %s is of an attempt that the run, at attempt %d, has not made", n, attempt)
		}
		if byName[n] == nil {
			names = append(names, n)
		}
		byName[n] = append(byName[n], l)
	}
	if len(names) == 0 {
		return nil, nil, ErrNone
	}
	slices.SortFunc(names, func(a, b Name) int { return cmp.Or(a.Index-b.Index, b.Attempt-a.Attempt, a.Count-b.Count) })
	for _, n := range names[1:] {
		if n.Count != names[0].Count {
			return nil, nil, fmt.Errorf("artifacts %s and %s disagree on the number of shards", names[0], n)
		}
	}
	// The highest attempt of each shard stands first.
	return slices.CompactFunc(names, func(a, b Name) bool { return a.Index == b.Index }), byName, nil
}

// readListed reads the one artifact of a name.
func readListed(n Name, listed []Listed, read func(Name, Listed) (Shard, error)) (Shard, error) {
	switch l := listed[0]; {
	case len(listed) > 1:
		return Shard{}, fmt.Errorf("%d artifacts are called %s", len(listed), n)
	case l.Expired:
		return Shard{}, fmt.Errorf("artifact %s has expired and was deleted; run the workflow again", n)
	case l.Size > ZipBytesMax:
		return Shard{}, fmt.Errorf("artifact %s has %d bytes, at most %d are read", n, l.Size, ZipBytesMax)
	}
	s, err := read(n, listed[0])
	if err != nil {
		return Shard{}, err
	}
	return s, s.usable()
}

// usable tells a shard that was measured from one that says why it was not.
func (s *Shard) usable() error {
	ended := fmt.Sprintf("it ended with exit %d", s.Outcome.Exit)
	if s.Outcome.Message != "" {
		ended += ": " + s.Outcome.Message
	}
	switch {
	case s.Outcome.Exit == 2 || s.Outcome.Exit == 130:
		return errors.New(ended)
	case s.Bundle == nil:
		return errors.New(ended + "; it has no bundle")
	}
	return nil
}

func (r *Results) miss(index int, why string) {
	r.Missing = append(r.Missing, Missing{Index: index, Why: why})
}

// ErrIncomplete: shards are missing, so nothing can be said about the suite.
var ErrIncomplete = errors.New("shards are missing")

// Bundle joins the shards. The error wraps ErrIncomplete, or says in what two of
// them contradict each other.
func (r Results) Bundle() (recording.Bundle, error) {
	if len(r.Missing) > 0 || len(r.Shards) != r.Count || r.Count == 0 {
		return recording.Bundle{}, fmt.Errorf("%w: %d of %d are there", ErrIncomplete, len(r.Shards), r.Count)
	}
	whole := *r.Shards[0].Bundle
	if whole.Manifest.Shard != nil {
		parts := make([]recording.Bundle, len(r.Shards))
		profiles := 0
		for i, s := range r.Shards {
			parts[i] = *s.Bundle
			profiles += len(s.Bundle.Manifest.Profiles)
		}
		if profiles > ProfilesMax {
			return recording.Bundle{}, fmt.Errorf("joining the shards: they have %d profiles, at most %d are read", profiles, ProfilesMax)
		}
		var err error
		if whole, err = recording.Merge(parts); err != nil {
			return recording.Bundle{}, fmt.Errorf("joining the shards: %w", err)
		}
	}
	return whole, checkWork(&whole, steps(&whole))
}

// steps is what a verdict on the bundle costs: whatever is looked through for
// each of something else.
func steps(b *recording.Bundle) int64 {
	m := &b.Manifest
	rounds := map[int]bool{}
	for _, s := range b.Samples {
		rounds[s.Round] = true
	}
	tests, outcomes, checks := int64(len(m.Family)), int64(len(m.Outcomes)), int64(0)
	if m.Baseline != nil {
		checks = int64(len(m.Baseline.Checks))
	}
	// A look sorts the tests twice, which is some sixteen steps for each.
	return tests*(int64(len(b.Samples))+16*int64(len(rounds))) + outcomes*(tests+int64(len(m.Benchmarks))) + checks*checks
}

// checkWork bounds the steps of one verdict, or of those on several shards, of
// which the bundle is the last.
func checkWork(b *recording.Bundle, steps int64) error {
	if steps > WorkMax {
		return fmt.Errorf("%d tests over %d samples, with %d outcomes, are more than a verdict is given time for",
			len(b.Manifest.Family), len(b.Samples), len(b.Manifest.Outcomes))
	}
	return nil
}
