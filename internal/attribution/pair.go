package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// A pair is a repository with a base and a head commit.
type pair struct {
	dir        string // of the module, which is the root of the repository
	base, head string
	decoys     []string
	env        []string // what the go command needs besides its usual environment
}

// thisModule names the root package of this repository.
const thisModule = "perfgate"

// preparePair makes the repository below work. commit is the base side's where the
// set is about this repository, which is at root; known has the stacks that were
// looked at before.
func preparePair(ctx context.Context, root, commit, work string, s *Set, in *Injection, seed uint64, known executed) (pair, error) {
	p := pair{dir: filepath.Join(work, "repository")}
	var err error
	base := thisModule
	if s.Module == "" {
		err = p.clone(ctx, root, commit)
	} else {
		base = path.Base(s.Module)
		err = p.fetch(ctx, s)
	}
	if err != nil {
		return p, fmt.Errorf("preparing the base side: %w", err)
	}
	onStacks, err := known.of(ctx, p.dir, work, s, in)
	if err != nil {
		return p, fmt.Errorf("preparing the base side: %w", err)
	}
	// What the benchmarks may have left behind is no part of the change.
	if err := p.git(ctx, "clean", "--quiet", "-d", "-x", "--force"); err != nil {
		return p, fmt.Errorf("preparing the base side: %w", err)
	}
	if err := p.change(ctx, work, base, in, onStacks, seed); err != nil {
		return p, fmt.Errorf("preparing the head side: %w", err)
	}
	return p, nil
}

// clone takes this repository at a commit.
func (p *pair) clone(ctx context.Context, root, commit string) error {
	if _, err := runIn(ctx, root, nil, "git", "clone", "--quiet", "--shared", "--no-checkout", root, p.dir); err != nil {
		return err
	}
	if err := p.git(ctx, "checkout", "--quiet", "--detach", commit); err != nil {
		return err
	}
	p.base = commit
	return nil
}

// fetch takes a module of the proxy as the first commit of a new repository.
func (p *pair) fetch(ctx context.Context, s *Set) error {
	dir, err := download(ctx, s.Module, s.Version)
	if err != nil {
		return err
	}
	if err := copyModule(p.dir, dir); err != nil {
		return err
	}
	if err := p.git(ctx, "init", "--quiet", "-b", "main"); err != nil {
		return err
	}
	p.base, err = p.commit(ctx, s.Module+" "+s.Version)
	return err
}

// copyModule copies the read-only folder of a module in the cache.
func copyModule(to, from string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return makeWritable(to)
}

// change makes the head side's commit.
func (p *pair) change(ctx context.Context, work, base string, in *Injection, onStacks map[string]bool, seed uint64) error {
	tree := os.DirFS(p.dir)
	changed, err := applyEdits(tree, in.Edits)
	if err != nil {
		return err
	}
	before := filepath.Join(work, "before")
	if err := keep(before, p.dir, changed); err != nil {
		return err
	}
	if err := writeFiles(p.dir, changed); err != nil {
		return err
	}
	if in.Dependency != nil {
		if p.env, err = serve(ctx, work, in.Dependency); err != nil {
			return err
		}
		if err := require(ctx, p.dir, in, p.env); err != nil {
			return err
		}
	}
	if p.decoys, err = addDecoys(ctx, p.dir, base, in, os.DirFS(before), onStacks, newRand(seed), p.env); err != nil {
		return err
	}
	p.head, err = p.commit(ctx, decoyNote(p.decoys))
	return err
}

// keep copies those files of dir that are there and will change.
func keep(to, dir string, changed map[string][]byte) error {
	before := map[string][]byte{}
	for file := range changed {
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(file)))
		if nilIfAbsent(err) != nil {
			return err
		}
		if err == nil {
			before[file] = text
		}
	}
	return writeFiles(to, before)
}

func (p *pair) git(ctx context.Context, args ...string) error {
	_, err := runIn(ctx, p.dir, nil, "git", args...)
	return err
}

// commit commits all files, ignored ones too.
func (p *pair) commit(ctx context.Context, message string) (string, error) {
	// A module may hold files that its own .gitignore names, and an injection adds one.
	if err := p.git(ctx, "add", "--all", "--force"); err != nil {
		return "", err
	}
	if err := p.git(ctx, "-c", "user.name=attribution", "-c", "user.email=attribution@localhost", "-c", "commit.gpgsign=false",
		"commit", "--quiet", "--allow-empty", "-m", message); err != nil {
		return "", err
	}
	out, err := runIn(ctx, p.dir, nil, "git", "rev-parse", "HEAD")
	return strings.TrimSpace(out), err
}

// seedOf draws what a run draws its coins from: another one for each run of a
// definition, and the same on every machine.
func seedOf(hash string, run int) uint64 {
	raw, err := hex.DecodeString(hash)
	if err != nil {
		panic("a definition's hash is hexadecimal: " + err.Error())
	}
	seed := uint64(run)
	for _, b := range raw {
		seed = seed*1099511628211 + uint64(b) // FNV
	}
	return seed >> 1 // a signed number in every format
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }
