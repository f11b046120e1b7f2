package githubtest

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// File modes that git knows.
const (
	modeFile      = "100644"
	modeTree      = "040000"
	modeSymlink   = "120000"
	modeSubmodule = "160000"
)

// objects is one store for all repositories: a fork shares its parent's, which
// is why a commit of a fork can be read through the parent.
type objects struct {
	blobs   map[string][]byte
	trees   map[string][]entry
	commits map[string]*Commit
}

// An entry is one line of a tree, or of a whole tree where name is a path.
type entry struct{ mode, name, sha string }

func (e entry) kind() string {
	switch e.mode {
	case modeTree:
		return "tree"
	case modeSubmodule:
		return "commit"
	}
	return "blob"
}

func newObjects() objects {
	return objects{map[string][]byte{}, map[string][]entry{}, map[string]*Commit{}}
}

func (o objects) putBlob(content []byte) string {
	sha := gitHash("blob", content)
	o.blobs[sha] = slices.Clone(content)
	return sha
}

// putTree stores the trees that hold files by path and returns the root.
func (o objects) putTree(files map[string]entry) string {
	here := map[string]entry{}
	below := map[string]map[string]entry{}
	for path, e := range files { // maprange: sorted below
		dir, rest, nested := strings.Cut(path, "/")
		if !nested {
			here[path] = entry{e.mode, path, e.sha}
			continue
		}
		if below[dir] == nil {
			below[dir] = map[string]entry{}
		}
		below[dir][rest] = e
	}
	for dir, inside := range below { // maprange: sorted below
		here[dir] = entry{modeTree, dir, o.putTree(inside)}
	}
	entries := slices.SortedFunc(maps.Values(here), func(a, b entry) int {
		return strings.Compare(sortName(a), sortName(b))
	})
	var raw strings.Builder
	for _, e := range entries {
		id, _ := hex.DecodeString(e.sha)
		fmt.Fprintf(&raw, "%s %s\x00%s", strings.TrimPrefix(e.mode, "0"), e.name, id)
	}
	sha := gitHash("tree", []byte(raw.String()))
	o.trees[sha] = entries
	return sha
}

// sortName orders a tree as git does: a directory as if its name ended in "/".
func sortName(e entry) string {
	if e.mode == modeTree {
		return e.name + "/"
	}
	return e.name
}

// files flattens a tree into its files by path.
func (o objects) files(tree string) map[string]entry {
	all := map[string]entry{}
	for _, e := range o.trees[tree] {
		if e.mode != modeTree {
			all[e.name] = e
			continue
		}
		for path, inside := range o.files(e.sha) { // maprange: into a map
			all[e.name+"/"+path] = inside
		}
	}
	return all
}

// putCommit stores a commit under its SHA, which it computes where none is set.
func (o objects) putCommit(c Commit) string {
	if c.SHA == "" {
		var raw strings.Builder
		fmt.Fprintf(&raw, "tree %s\n", c.Tree)
		for _, p := range c.Parents {
			fmt.Fprintf(&raw, "parent %s\n", p)
		}
		who := fmt.Sprintf("%s <%s> %d +0000", c.Author, c.Email, c.Date.Unix())
		fmt.Fprintf(&raw, "author %s\ncommitter %s\n\n%s", who, who, c.Message)
		c.SHA = gitHash("commit", []byte(raw.String()))
	}
	o.commits[c.SHA] = &c
	return c.SHA
}

// ancestors are a commit and everything that it is built on.
func (o objects) ancestors(sha string) map[string]bool {
	seen := map[string]bool{}
	todo := []string{sha}
	for len(todo) > 0 {
		next := todo[0]
		todo = todo[1:]
		if c := o.commits[next]; c != nil && !seen[next] {
			seen[next] = true
			todo = append(todo, c.Parents...)
		}
	}
	return seen
}

// between are the commits of head that base does not have, oldest first.
func (o objects) between(base, head string) []*Commit {
	known := o.ancestors(base)
	var found []*Commit
	var visit func(string)
	visit = func(sha string) {
		c := o.commits[sha]
		if c == nil || known[sha] {
			return
		}
		known[sha] = true
		for _, p := range c.Parents {
			visit(p)
		}
		found = append(found, c)
	}
	visit(head)
	return found
}

// mergeBase is the first ancestor of head, breadth first, that base has too.
func (o objects) mergeBase(base, head string) *Commit {
	known := o.ancestors(base)
	seen := map[string]bool{}
	for todo := []string{head}; len(todo) > 0; todo = todo[1:] {
		c := o.commits[todo[0]]
		if c == nil || seen[c.SHA] {
			continue
		}
		if known[c.SHA] {
			return c
		}
		seen[c.SHA] = true
		todo = append(todo, c.Parents...)
	}
	return nil
}

func gitHash(kind string, content []byte) string {
	h := sha1.New()
	fmt.Fprintf(h, "%s %d\x00", kind, len(content))
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil))
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
