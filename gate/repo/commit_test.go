package repo

import (
	"slices"
	"testing"
)

func TestAShallowCloneKnowsItsParentsNames(t *testing.T) {
	dir, git := newRepo(t, "main")
	first := git("rev-parse", "HEAD")
	git("switch", "-q", "-c", "change")
	write(t, dir, "b.go", "package m\n")
	git("add", "-A")
	git("commit", "-q", "-m", "change\n\nparent 1234567890123456789012345678901234567890")
	change := git("rev-parse", "HEAD")
	git("switch", "-q", "main")
	git("merge", "-q", "--no-ff", "-m", "merge", "change")
	merge := git("rev-parse", "HEAD")
	shallow := t.TempDir()
	gitIn(t, shallow)("clone", "-q", "--depth", "1", "file://"+dir, ".")
	r := open(t, shallow)
	for _, c := range []struct {
		repo   *Repo
		commit string
		want   []string
	}{
		{r, merge, []string{first, change}},
		{open(t, dir), change, []string{first}},
		{open(t, dir), first, nil},
	} {
		if got, err := c.repo.Parents(t.Context(), c.commit); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("parents of %.7s: %q, %v, want %q", c.commit, got, err, c.want)
		}
	}
	if _, err := r.Resolve(t.Context(), first); err == nil {
		t.Error("the clone is not shallow")
	}
}

func TestChangedFilesHaveAnyName(t *testing.T) {
	dir, git := newRepo(t, "main")
	write(t, dir, "old.go", "package m // long enough to be taken for the same file\n")
	git("add", "-A")
	git("commit", "-q", "-m", "second")
	names := []string{"--option", "a b\"c", "line\nbreak", "new.go", "old.go", "ä.go"}
	git("mv", "old.go", "new.go")
	for _, name := range names[:3] {
		write(t, dir, name, "x")
	}
	write(t, dir, names[5], "x")
	git("add", "-A")
	git("commit", "-q", "-m", "third")
	got, err := open(t, dir).ChangedFiles(t.Context(), git("rev-parse", "HEAD^"), git("rev-parse", "HEAD"))
	if err != nil || !slices.Equal(got, names) {
		t.Errorf("changed files %q, %v, want %q", got, err, names)
	}
}
