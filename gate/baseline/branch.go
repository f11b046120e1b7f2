package baseline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Branch is a branch of a git repository, or what stands for one, such as a
// pull request that is open. It is all that a store needs of git.
type Branch interface {
	// String is the branch as people know it.
	String() string
	// Tip reads what the branch is now, or fails with fs.ErrNotExist where there
	// is no such branch.
	Tip(ctx context.Context) (Tree, error)
	// Commit puts files, by path, on top of tip (nil: the branch is new) and
	// leaves all others alone. It fails with ErrMoved where the branch is no
	// longer what tip was, and then has changed nothing.
	Commit(ctx context.Context, tip Tree, files map[string][]byte, message string) error
}

// Tree is the files of one commit.
type Tree interface {
	// List gives the entries of a folder, in any order; "." is the root. It fails
	// with fs.ErrNotExist where there is no such folder.
	List(ctx context.Context, dir string) ([]TreeEntry, error)
	// Read fails with ErrTooLarge where a file has more than most bytes.
	Read(ctx context.Context, file string, most int64) ([]byte, error)
}

// TreeEntry is a file or folder of a Tree. What is neither, such as a link or a
// submodule, has no kind.
type TreeEntry struct {
	Name string
	Kind EntryKind
}

// EntryKind is what an entry is.
type EntryKind int

// The kinds.
const (
	OtherEntry EntryKind = iota
	FileEntry
	FolderEntry
)

// ErrMoved: a branch has moved since its tip was read.
var ErrMoved = errors.New("the branch has moved")

// ErrTooLarge: a file has more bytes than are read of it.
var ErrTooLarge = errors.New("it is larger than what is read")

// InBranch is the store in the folder dir of a branch, with the layout of
// Folder. A recorder commits on top of what it has read, on the condition that
// the branch is still that; where it is not, it reads again and follows.
func InBranch(b Branch, dir string) Store { return &inBranch{branch: b, dir: path.Clean(dir)} }

type inBranch struct {
	branch Branch
	dir    string
}

func (s *inBranch) String() string {
	if s.dir == "." {
		return s.branch.String()
	}
	return s.branch.String() + ":" + s.dir
}

func (s *inBranch) Close() error { return nil }

func (s *inBranch) place(suite, class string) string {
	return path.Join(strings.TrimSuffix(s.String(), "/"), suite, class)
}

// unreachable marks an error of git itself.
func (s *inBranch) unreachable(err error) error {
	return fmt.Errorf("%w: %s: %w", ErrUnreachable, s, err)
}

func (s *inBranch) Suites(ctx context.Context) ([]string, error) { return s.folders(ctx, s.dir) }

func (s *inBranch) Classes(ctx context.Context, suite string) ([]string, error) {
	return s.folders(ctx, path.Join(s.dir, suite))
}

// tip is the branch's tree, or nil where there is no such branch.
func (s *inBranch) tip(ctx context.Context) (Tree, error) {
	tree, err := s.branch.Tip(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, s.unreachable(err)
	}
	return tree, nil
}

func (s *inBranch) folders(ctx context.Context, dir string) ([]string, error) {
	tree, err := s.tip(ctx)
	if err != nil || tree == nil {
		return nil, err
	}
	entries, err := s.list(ctx, tree, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		switch {
		case strings.HasPrefix(e.Name, "."):
		case e.Kind != FolderEntry || !placeName.MatchString(e.Name):
			return nil, fmt.Errorf("baseline %s: %s: no folder of a suite and machine class", s, path.Join(dir, e.Name))
		default:
			names = append(names, e.Name)
		}
	}
	if len(names) > foldersMax {
		return nil, fmt.Errorf("baseline %s: %s holds %d folders, and at most %d are read", s, dir, len(names), foldersMax)
	}
	slices.Sort(names)
	return names, nil
}

// list goes down to dir folder by folder, since a link on the way would lead
// to another place than the one that was named.
func (s *inBranch) list(ctx context.Context, tree Tree, dir string) ([]TreeEntry, error) {
	at := "."
	entries, err := tree.List(ctx, at)
	for _, name := range strings.Split(dir, "/") {
		if err != nil || name == "." {
			break
		}
		at = path.Join(at, name)
		i := slices.IndexFunc(entries, func(e TreeEntry) bool { return e.Name == name })
		switch {
		case i < 0:
			return nil, fmt.Errorf("%s: %w", at, fs.ErrNotExist)
		case entries[i].Kind != FolderEntry:
			return nil, fmt.Errorf("baseline %s: %s is a file, a link or a submodule, and not a folder", s, at)
		}
		entries, err = tree.List(ctx, at)
	}
	if err != nil {
		return nil, s.unreachable(err)
	}
	return entries, nil
}

func (s *inBranch) Load(ctx context.Context, suite, class string) (*Baseline, error) {
	if err := checkPlace(suite, class); err != nil {
		return nil, err
	}
	tree, err := s.tip(ctx)
	if err != nil {
		return nil, err
	}
	if tree == nil {
		return nil, notFound(s.place(suite, class))
	}
	return s.read(ctx, tree, suite, class)
}

// Verify: what came before the one record is in git.
func (s *inBranch) Verify(ctx context.Context, suite, class string) (*Baseline, error) {
	return s.Load(ctx, suite, class)
}

func (s *inBranch) read(ctx context.Context, tree Tree, suite, class string) (*Baseline, error) {
	dir, place := path.Join(s.dir, suite, class), s.place(suite, class)
	entries, err := s.list(ctx, tree, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound(place)
	}
	if err != nil {
		return nil, err
	}
	if err := checkEntries(entries); err != nil {
		return nil, inPlace(place, err)
	}
	data := map[string][]byte{}
	for _, e := range entries {
		data[e.Name], err = tree.Read(ctx, path.Join(dir, e.Name), limitOf(e.Name))
		if errors.Is(err, ErrTooLarge) {
			return nil, inPlace(place, fmt.Errorf("%s: %w", e.Name, err))
		}
		if err != nil {
			return nil, s.unreachable(err)
		}
	}
	b, err := parse(place, suite, class, data)
	if err != nil {
		return nil, inPlace(place, err)
	}
	return b, nil
}

// checkEntries wants the files of a baseline, all of them and nothing else.
func checkEntries(entries []TreeEntry) error {
	missing := append([]string{manifestFile}, files...)
	for _, e := range entries {
		i := slices.Index(missing, e.Name)
		switch {
		case i < 0:
			return fmt.Errorf("%s does not belong to it", e.Name)
		case e.Kind != FileEntry:
			return fmt.Errorf("%s is no regular file", e.Name)
		}
		missing = slices.Delete(missing, i, i+1)
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s is missing", missing[0])
	}
	return nil
}

func (s *inBranch) update(ctx context.Context, suite, class string, next func(*Baseline) (map[string][]byte, error)) error {
	for range attemptsMax {
		err := s.updateOnce(ctx, suite, class, next)
		if !errors.Is(err, ErrMoved) {
			return err
		}
	}
	return s.unreachable(fmt.Errorf("it moved %d times while a baseline was being recorded; try again", attemptsMax))
}

func (s *inBranch) updateOnce(ctx context.Context, suite, class string, next func(*Baseline) (map[string][]byte, error)) error {
	tree, err := s.tip(ctx)
	if err != nil {
		return err
	}
	var old *Baseline
	if tree != nil {
		if old, err = s.read(ctx, tree, suite, class); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	data, err := next(old)
	if err != nil || data == nil {
		return err
	}
	placed := map[string][]byte{}
	for name, content := range data {
		placed[path.Join(s.dir, suite, class, name)] = content
	}
	if err := s.branch.Commit(ctx, tree, placed, commitMessage(suite, class, data)); err != nil {
		return s.unreachable(err)
	}
	return nil
}

// commitMessage says what a commit records. Its data is this package's own.
func commitMessage(suite, class string, data map[string][]byte) string {
	var m Manifest
	if err := decodeJSON(manifestFile, data[manifestFile], &m); err != nil {
		panic(fmt.Sprintf("baseline: a manifest that was just written cannot be read: %v", err))
	}
	text := fmt.Sprintf("baselines: %s at %.12s, recording %d\n\nMeasured on machine class %s by %s with %s.\n",
		suite, m.Commit, m.Record, class, m.Tool, m.Toolchain)
	if m.RunURL != "" {
		text += "Run: " + m.RunURL + "\n"
	}
	return text
}

// sweep has nothing to do: a branch's tip holds one record, and git the others.
func (s *inBranch) sweep(context.Context, string, string, int) error { return nil }
