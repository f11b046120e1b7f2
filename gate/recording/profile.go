package recording

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// ProfileKind is what a profile counts.
type ProfileKind string

// The kinds of profiles.
const (
	CPUProfile   ProfileKind = "cpu"   // where CPU time went
	AllocProfile ProfileKind = "alloc" // who allocated how much
	MutexProfile ProfileKind = "mutex" // who held locks that others waited for
	BlockProfile ProfileKind = "block" // who waited
	// GoroutineProfile is what goroutines there are and where they stand. Its N is
	// the number of looks at them, so that a value per N is how many there are at a
	// time.
	GoroutineProfile ProfileKind = "goroutine"
)

// ExecutionTrace is the runtime's own log of goroutines, collections and system
// calls, for `go tool trace`. It is no profile, and too large for a bundle.
const ExecutionTrace ProfileKind = "trace"

// ProfileKinds are the kinds that a bundle can have, in the order in which they
// are shown.
var ProfileKinds = []ProfileKind{CPUProfile, AllocProfile, MutexProfile, BlockProfile, GoroutineProfile}

// Profile is one profile of one benchmark, taken in a pass of its own after the
// measuring. The data is Bundle.Profiles[File].
type Profile struct {
	Side Side        `json:"side"`
	Key  Key         `json:"key"`
	Kind ProfileKind `json:"kind"`
	// Rep counts replicates from 1; those of the same number were taken together.
	Rep int `json:"rep"`
	N   int `json:"n"` // iterations of the run
	// File is the path in the bundle: profiles/SIDE/BENCH/KIND-REP.pb.gz, or that
	// of an earlier profile with the same content.
	File string `json:"file"`
}

const (
	// profilesMax bounds the profiles of a bundle: 51 benchmarks x 2 sides x 8
	// replicates x 5 kinds.
	profilesMax = 4096
	profilesDir = "profiles/"
	diffFile    = "diff.json"
)

// file is where the data of p lies unless another one has the same. The names of
// benchmarks have slashes and may be long, so that their folder has a readable
// part and a hash.
func (p Profile) file() string {
	return path.Join(profilesDir, string(p.Side), profileFolder(p.Key), fmt.Sprintf("%s-%d.pb.gz", p.Kind, p.Rep))
}

var notInFileName = regexp.MustCompile(`[^A-Za-z0-9_=.]+`)

// profileFolder names a benchmark in a file system that may not tell upper case
// from lower.
func profileFolder(k Key) string {
	const readable = 60
	name := notInFileName.ReplaceAllString(path.Base(k.Pkg)+"."+strings.TrimPrefix(k.Name, "Benchmark"), "-")
	hash := sha256.Sum256([]byte(k.String()))
	return name[:min(len(name), readable)] + "-" + hex.EncodeToString(hash[:4])
}

// AddProfile adds a profile, compacted already (CompactProfile), whose File is
// filled in here: data that the bundle has is not stored twice.
func (b *Bundle) AddProfile(p Profile, data []byte) {
	p.File = p.file()
	for _, name := range slices.Sorted(maps.Keys(b.Profiles)) {
		if bytes.Equal(b.Profiles[name], data) {
			p.File = name
			break
		}
	}
	if b.Profiles == nil {
		b.Profiles = map[string][]byte{}
	}
	b.Profiles[p.File] = data
	b.Manifest.Profiles = append(b.Manifest.Profiles, p)
}

// ProfilesOf lists the profiles of one benchmark and kind on one side, by replicate.
func (b *Bundle) ProfilesOf(side Side, key Key, kind ProfileKind) []Profile {
	var found []Profile
	for _, p := range b.Manifest.Profiles {
		if p.Side == side && p.Key == key && p.Kind == kind {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b Profile) int { return a.Rep - b.Rep })
	return found
}

// profileFiles are the files that the manifest's profiles need, sorted.
func (m *Manifest) profileFiles() []string {
	var files []string
	for _, p := range m.Profiles {
		files = append(files, p.File)
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// checkProfiles checks the list; the data is checked where it is used.
func checkProfiles(m *Manifest) error {
	if len(m.Profiles) > profilesMax {
		return fmt.Errorf("profiles: %d, more than %d", len(m.Profiles), profilesMax)
	}
	known := knownBenchmarks(m)
	places := map[string]bool{}
	seen := map[Profile]bool{}
	for _, p := range m.Profiles {
		if err := checkKey(p.Key); err != nil {
			return fmt.Errorf("profiles: %w", err)
		}
		place := p
		place.N, place.File = 0, ""
		switch {
		case !known[Key{Pkg: p.Key.Pkg, Name: p.Key.Name}]:
			return fmt.Errorf("profiles: %s is not in the manifest", p.Key)
		case p.Side != Base && p.Side != Head:
			return fmt.Errorf("profiles: %s has side %q", p.Key, p.Side)
		case !slices.Contains(ProfileKinds, p.Kind):
			return fmt.Errorf("profiles: %s has a profile of kind %q", p.Key, p.Kind)
		case p.Rep < 1 || p.N < 1:
			return fmt.Errorf("profiles: %s has replicate %d of %d iterations, want at least 1 of each", p.Key, p.Rep, p.N)
		case seen[place]:
			return fmt.Errorf("profiles: %s has %s replicate %d of %s twice", p.Key, p.Kind, p.Rep, p.Side)
		}
		seen[place] = true
		places[p.file()] = true
	}
	for _, p := range m.Profiles {
		if !places[p.File] {
			return fmt.Errorf("profiles: %s: %q is the place of no profile", p.Key, p.File)
		}
	}
	return nil
}

// encodeAttachments adds the profiles and the diff to the files of a bundle.
func encodeAttachments(files map[string][]byte, b *Bundle) error {
	want := b.Manifest.profileFiles()
	for _, name := range want {
		data, ok := b.Profiles[name]
		if !ok {
			return fmt.Errorf("the data of profile %s is missing", name)
		}
		files[name] = data
	}
	if len(want) != len(b.Profiles) {
		return errors.New("it has data of profiles that the manifest does not list")
	}
	if b.Diff == nil {
		return nil
	}
	data, err := canonicalJSON(b.Diff)
	if err != nil {
		return fmt.Errorf("%s: %w", diffFile, err)
	}
	files[diffFile] = data
	return nil
}

// decodeAttachments reads what encodeAttachments wrote.
func decodeAttachments(b *Bundle, files map[string][]byte) error {
	for _, name := range b.Manifest.profileFiles() {
		if b.Profiles == nil {
			b.Profiles = map[string][]byte{}
		}
		b.Profiles[name] = files[name]
	}
	data, ok := files[diffFile]
	if !ok {
		return nil
	}
	var err error
	b.Diff, err = decodeDiff(data)
	return err
}

// attachments are the files that a manifest may list besides the samples.
func (m *Manifest) attachments() []string {
	files := m.profileFiles()
	if m.Files[diffFile] != "" {
		files = append(files, diffFile)
	}
	return files
}
