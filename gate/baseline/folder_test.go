package baseline

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNoLinkOfAWorkTreeIsFollowed(t *testing.T) {
	elsewhere := record(t, t.TempDir(), source("1", "c0ffee"))
	root := filepath.Dir(filepath.Dir(elsewhere))
	for name, link := range map[string]struct{ at, to string }{
		"the folder":          {"perf/baselines", root},
		"a folder on the way": {"perf", filepath.Dir(root)},
		"a suite":             {"perf/baselines/smoke", filepath.Dir(elsewhere)},
		"a class":             {"perf/baselines/smoke/c0ffee", elsewhere},
	} {
		t.Run(name, func(t *testing.T) {
			tree := t.TempDir()
			at := filepath.Join(tree, filepath.FromSlash(link.at))
			if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(link.to, at); err != nil {
				t.Fatal(err)
			}
			place := "perf/baselines"
			if name == "a folder on the way" {
				place = "perf/" + filepath.Base(root)
			}
			s, err := Open(t.Context(), place, tree)
			if err != nil {
				t.Fatal(err)
			}
			_, loadErr := s.Load(t.Context(), "smoke", "c0ffee")
			_, _, findErr := Find(t.Context(), s, "smoke", "c0ffee")
			_, recordErr := Record(t.Context(), s, source("2", "c0ffee"))
			for _, err := range []error{loadErr, findErr, recordErr} {
				if err == nil || !strings.Contains(err.Error(), link.at+": it is a link") || errors.Is(err, fs.ErrNotExist) {
					t.Errorf("error %v", err)
				}
			}
		})
	}
	if b, err := load(t, elsewhere); err != nil || b.Manifest.Record != 1 {
		t.Errorf("what the links lead to: %+v, %v", b, err)
	}
}

func TestALinkOutsideTheWorkTreeIsItsUsersChoice(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), link, "")
	if err != nil {
		t.Fatal(err)
	}
	recordIn(t, s, source("1", "c0ffee"))
	if b, err := s.Load(t.Context(), "smoke", "c0ffee"); err != nil || b.Manifest.Record != 1 {
		t.Errorf("%+v, %v", b, err)
	}
}
