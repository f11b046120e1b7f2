package artifact

import (
	"fmt"
	"io/fs"
)

// ReadFS reads a results folder from a file system, under the limits that hold
// for archives: it is one that a download has made.
func ReadFS(n Name, fsys fs.FS) (Shard, error) {
	t, err := readFS(fsys)
	if err != nil {
		return Shard{}, fmt.Errorf("reading results %s: %w", n, err)
	}
	s, err := t.shard(n)
	if err != nil {
		return Shard{}, fmt.Errorf("reading results %s: %w", n, err)
	}
	return s, nil
}

func readFS(fsys fs.FS) (*tree, error) {
	t := newTree()
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case !d.IsDir() && !d.Type().IsRegular():
			return fmt.Errorf("%+q %w", clipped(name), errNotRegular)
		}
		if err := t.admit(name, d.IsDir()); err != nil || d.IsDir() {
			return err
		}
		f, err := fsys.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		return t.fill(name, f)
	})
	return t, err
}

// ReadFolders reads the shards of a run from a folder with one results folder for
// each artifact, named as the artifact is.
func ReadFolders(fsys fs.FS, attempt int) (Results, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return Results{}, fmt.Errorf("reading the results: %w", err)
	}
	listed := make([]Listed, len(entries))
	for i, e := range entries {
		listed[i] = Listed{Name: e.Name()}
	}
	return Collect(listed, attempt, func(n Name, _ Listed) (Shard, error) {
		sub, err := fs.Sub(fsys, n.String())
		if err != nil {
			return Shard{}, err
		}
		return ReadFS(n, sub)
	})
}
