package repo

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/perfgate/perfgate/gate/recording"
)

const (
	// diffFilesMax bounds the changed files whose content is looked at, and
	// diffOtherMax those that are only named. A change beyond them (vendored code,
	// a reformatted tree) is truncated and says so.
	diffFilesMax = 2000
	diffOtherMax = 500
	// What a bundle holds of a change is bounded too; a file has at most some
	// thousands of declarations.
	diffDeclsMax = 30_000
	diffHunksMax = 100_000
	// diffFileBytes bounds one source file.
	diffFileBytes = 4 << 20
)

// DiffSides says what to compare: the base side's commit, the head side's, which
// is empty for the work tree, and the roots of the folders that hold their files.
type DiffSides struct {
	BaseCommit, HeadCommit string
	BaseTop, HeadTop       string
}

// Diff tells what the head side changed: lines, declarations, other modules. It
// reads and never writes.
func (r *Repo) Diff(ctx context.Context, sides DiffSides) (*recording.Diff, error) {
	if sides.HeadCommit != "" {
		return r.diffTrees(ctx, nil, sides.BaseCommit, sides.HeadCommit, sides)
	}
	var d *recording.Diff
	err := r.withWorkTree(ctx, func(env []string, tree string) (err error) {
		d, err = r.diffTrees(ctx, env, sides.BaseCommit, tree, sides)
		return err
	})
	return d, err
}

func (r *Repo) diffTrees(ctx context.Context, env []string, base, head string, sides DiffSides) (*recording.Diff, error) {
	d := &recording.Diff{}
	sources, err := r.changed(ctx, env, base, head, "*.go", "*.s")
	if err != nil {
		return nil, err
	}
	others, err := r.changed(ctx, env, base, head, ".", ":(exclude)*.go", ":(exclude)*.s")
	if err != nil {
		return nil, err
	}
	d.Truncated = len(sources) > diffFilesMax || len(others) > diffOtherMax
	sources = sources[:min(len(sources), diffFilesMax)]
	if err := r.addHunks(ctx, env, base, head, sources); err != nil {
		return nil, err
	}
	s := newSourceDiff(sides)
	decls, hunks := 0, 0
	for i := range sources {
		f := &sources[i]
		if hunks += len(f.Hunks); decls > diffDeclsMax || hunks > diffHunksMax {
			sources, d.Truncated = sources[:i], true
			break
		}
		s.describe(f)
		decls += len(f.Base) + len(f.Head)
	}
	for _, f := range others {
		if path.Base(f.Path) == "go.mod" {
			d.Modules = append(d.Modules, s.moduleChanges(f)...)
		}
	}
	dropMoved(sources)
	s.addUsers(sources)
	d.Files = append(sources, others[:min(len(others), diffOtherMax)]...)
	return d, nil
}

// changed lists the files below pathspecs that differ, renamed ones as one.
func (r *Repo) changed(ctx context.Context, env []string, base, head string, pathspecs ...string) ([]recording.FileDiff, error) {
	args := append([]string{"diff-tree", "-r", "-M", "-z", "--raw", "--end-of-options", base, head, "--"}, pathspecs...)
	out, err := output(ctx, r.Top, env, args...)
	if err != nil {
		return nil, fmt.Errorf("comparing the sides: %w", err)
	}
	var files []recording.FileDiff
	fields := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	for i := 0; i+1 < len(fields); i += 2 {
		// ":100644 100644 HASH HASH R087", then one path or two.
		about := strings.Fields(fields[i])
		if len(about) != 5 {
			return nil, fmt.Errorf("comparing the sides: git diff-tree says %q", fields[i])
		}
		f := recording.FileDiff{Path: fields[i+1]}
		switch about[4][0] {
		case 'A':
			f.Added = true
		case 'D':
			f.Removed = true
		case 'R':
			if i+2 >= len(fields) {
				return nil, fmt.Errorf("comparing the sides: git diff-tree ends in the middle")
			}
			f.OldPath, f.Path = fields[i+1], fields[i+2]
			i++
		}
		files = append(files, f)
	}
	return files, nil
}

var hunkLine = regexp.MustCompile(`^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@`)

// addHunks reads which lines differ. The patch lists the files in the order of the
// raw listing.
func (r *Repo) addHunks(ctx context.Context, env []string, base, head string, files []recording.FileDiff) error {
	out, err := output(ctx, r.Top, env, "diff-tree", "-r", "-M", "-p", "-U0", "--no-color", "--no-ext-diff", "--no-textconv",
		"--end-of-options", base, head, "--", "*.go", "*.s")
	if err != nil {
		return fmt.Errorf("comparing the sides: %w", err)
	}
	at, body := -1, 0 // body counts the lines of a hunk that are still to come
	for line := range bytes.Lines(out) {
		switch {
		case body > 0 && (line[0] == '+' || line[0] == '-'):
			body--
		case bytes.HasPrefix(line, []byte("diff --git ")):
			at++
		case bytes.HasPrefix(line, []byte("@@ ")) && at >= 0 && at < len(files):
			h, ok := parseHunk(line)
			if !ok {
				return fmt.Errorf("comparing the sides: git diff-tree says %q", line)
			}
			body = h.BaseLines + h.HeadLines
			files[at].Hunks = append(files[at].Hunks, h)
		}
	}
	return nil
}

func parseHunk(line []byte) (recording.Hunk, bool) {
	m := hunkLine.FindSubmatch(line)
	if m == nil {
		return recording.Hunk{}, false
	}
	number := func(i, missing int) int {
		if len(m[i]) == 0 {
			return missing
		}
		n, _ := strconv.Atoi(string(m[i]))
		return n
	}
	return recording.Hunk{BaseStart: number(1, 0), BaseLines: number(2, 1), HeadStart: number(3, 0), HeadLines: number(4, 1)}, true
}

// sourceDiff reads the files of both sides.
type sourceDiff struct {
	tops    [2]string
	modules [2]map[string]string // module path by folder, "" for none
}

func newSourceDiff(sides DiffSides) *sourceDiff {
	return &sourceDiff{
		tops:    [2]string{sides.BaseTop, sides.HeadTop},
		modules: [2]map[string]string{{}, {}},
	}
}

// The sides of a sourceDiff.
const (
	onBase = 0
	onHead = 1
)

// describe fills in what f is called in profiles, and which declarations changed.
func (s *sourceDiff) describe(f *recording.FileDiff) {
	old := f.Path
	if f.OldPath != "" {
		old = f.OldPath
	}
	if !f.Added {
		f.OldSource = s.source(onBase, old)
	}
	if !f.Removed {
		f.Source = s.source(onHead, f.Path)
	}
	f.Test = strings.HasSuffix(f.Path, "_test.go")
	var base, head parsed
	if !f.Added {
		base = s.parse(onBase, old)
	}
	if !f.Removed {
		head = s.parse(onHead, f.Path)
	}
	f.Generated = base.generated || head.generated
	name, source := head, f.Source
	if f.Removed {
		name, source = base, f.OldSource
	}
	if source != "" {
		f.Pkg = path.Dir(source)
		if f.Test && strings.HasSuffix(name.pkg, "_test") {
			f.Pkg += "_test"
		}
	}
	f.Base, f.Head = onlyIn(base.decls, head.decls), onlyIn(head.decls, base.decls)
}

// onlyIn are those of decls that others do not have as they are.
func onlyIn(decls, others []recording.Decl) []recording.Decl {
	type what struct{ name, kind, hash string }
	have := map[what]bool{}
	for _, d := range others {
		have[what{d.Name, d.Kind, d.Hash}] = true
	}
	var only []recording.Decl
	for _, d := range decls {
		if !have[what{d.Name, d.Kind, d.Hash}] {
			only = append(only, d)
		}
	}
	return only
}

// dropMoved leaves out what only moved to another file of its package.
func dropMoved(files []recording.FileDiff) {
	type what struct{ pkg, name, kind, hash string }
	count := func(head bool) map[what]bool {
		all := map[what]bool{}
		for _, f := range files {
			decls := f.Base
			if head {
				decls = f.Head
			}
			for _, d := range decls {
				all[what{f.Pkg, d.Name, d.Kind, d.Hash}] = true
			}
		}
		return all
	}
	base, head := count(false), count(true)
	keep := func(pkg string, decls []recording.Decl, other map[what]bool) []recording.Decl {
		var kept []recording.Decl
		for _, d := range decls {
			if !other[what{pkg, d.Name, d.Kind, d.Hash}] {
				kept = append(kept, d)
			}
		}
		return kept
	}
	for i := range files {
		f := &files[i]
		f.Base, f.Head = keep(f.Pkg, f.Base, head), keep(f.Pkg, f.Head, base)
	}
}

// source is the name of a file in profiles of binaries built with -trimpath:
// below its module's path. What is vendored is named as it is imported.
func (s *sourceDiff) source(side int, file string) string {
	if at := strings.LastIndex("/"+file, "/vendor/"); at >= 0 {
		return file[at+len("vendor/"):]
	}
	for dir := path.Dir(file); ; dir = path.Dir(dir) {
		if module := s.module(side, dir); module != "" {
			rest := strings.TrimPrefix(strings.TrimPrefix(file, dir), "/")
			if dir == "." {
				rest = file
			}
			return module + "/" + rest
		}
		if dir == "." || dir == "/" {
			return ""
		}
	}
}

// module is the path of the module whose go.mod is in dir; empty where there is none.
func (s *sourceDiff) module(side int, dir string) string {
	if module, ok := s.modules[side][dir]; ok {
		return module
	}
	mod := parseGoMod(s.read(side, path.Join(dir, "go.mod")))
	s.modules[side][dir] = mod.path
	return mod.path
}

// read gives a file of a side, or nothing where it is none that can be read. Links
// are not followed: they may lead anywhere.
func (s *sourceDiff) read(side int, file string) []byte {
	name := filepath.Join(s.tops[side], filepath.FromSlash(file))
	info, err := os.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > diffFileBytes {
		return nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	return data
}
