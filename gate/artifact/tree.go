package artifact

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tree takes the files of one results folder in, within the limits.
type tree struct {
	files   map[string][]byte
	entries int
	bytes   int64 // of all files
	// taken is what stands under a name, by the name without regard to case:
	// folders implied by the names of files are there too.
	taken map[string]entry
}

type entry struct {
	name     string
	dir      bool
	explicit bool // the archive has an entry for it
}

func newTree() *tree { return &tree{files: map[string][]byte{}, taken: map[string]entry{}} }

// admit makes room for a file or folder. One name must mean one thing on every
// file system, whatever it thinks of case.
func (t *tree) admit(name string, dir bool) error {
	if t.entries++; t.entries > EntriesMax {
		return fmt.Errorf("it has more than %d entries", EntriesMax)
	}
	if err := checkName(name); err != nil {
		return err
	}
	for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
		if err := t.take(entry{name: parent, dir: true}); err != nil {
			return err
		}
	}
	return t.take(entry{name: name, dir: dir, explicit: true})
}

func (t *tree) take(e entry) error {
	key := strings.Map(foldCase, e.name)
	have, ok := t.taken[key]
	switch {
	case !ok:
	case have.name != e.name:
		return fmt.Errorf("%+q and %+q differ in case only", have.name, e.name)
	case have.dir != e.dir:
		return fmt.Errorf("%+q is a file and a folder", e.name)
	case have.explicit && e.explicit:
		return fmt.Errorf("%+q is in it twice", e.name)
	}
	e.explicit = e.explicit || have.explicit
	t.taken[key] = e
	return nil
}

// foldCase is the least of all characters that differ from r in case only.
func foldCase(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return least
}

// checkName wants a relative path of plain elements. A backslash or a colon is a
// separator elsewhere.
func checkName(name string) error {
	switch {
	case len(name) > NameBytesMax:
		return fmt.Errorf("a name of %d bytes (%+.40q…), at most %d are read", len(name), name, NameBytesMax)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("the name %+q has control characters, or is no UTF-8", name)
	case !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, `\:`):
		return fmt.Errorf("%+q is no path inside it", name)
	case strings.Count(name, "/") >= NameDepthMax:
		return fmt.Errorf("%+q is deeper than %d levels", name, NameDepthMax)
	}
	return nil
}

// fill reads an admitted file. It counts what comes, whatever was announced.
func (t *tree) fill(name string, r io.Reader) error {
	most := min(FileBytesMax, TotalBytesMax-t.bytes)
	var buf bytes.Buffer
	n, err := io.Copy(&buf, io.LimitReader(r, most+1))
	if err != nil {
		return fmt.Errorf("%+q: %w", name, err)
	}
	if n > most {
		return fmt.Errorf("%+q: a file may have %d bytes and all files together %d", name, FileBytesMax, TotalBytesMax)
	}
	t.bytes += n
	t.files[name] = buf.Bytes()
	return nil
}

// shard reads what the folder holds.
func (t *tree) shard(n Name) (Shard, error) {
	data, ok := t.files[OutcomeFile]
	if !ok {
		return Shard{}, fmt.Errorf("it has no %s", OutcomeFile)
	}
	outcome, err := DecodeOutcome(data)
	if err != nil {
		return Shard{}, err
	}
	if outcome.Shard != n.Shard() {
		return Shard{}, fmt.Errorf("%s is of shard %+q, not %s", OutcomeFile, outcome.Shard, n.Shard())
	}
	bundle := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(t.files)) {
		inside, ok := strings.CutPrefix(name, BundleFolder+"/")
		switch {
		case ok:
			bundle[inside] = t.files[name]
		case name != OutcomeFile:
			return Shard{}, fmt.Errorf("%+q does not belong to it", name)
		}
	}
	s := Shard{Name: n, Outcome: outcome, bytes: t.bytes}
	if len(bundle) == 0 {
		return s, nil
	}
	return s, s.read(bundle)
}

// errNotRegular: links, devices, pipes.
var errNotRegular = errors.New("is neither a file nor a folder")
