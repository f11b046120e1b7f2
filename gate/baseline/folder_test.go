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

func TestAFolderAnywhereIsNoLinkButMayBeBelowOne(t *testing.T) {
	real, links := t.TempDir(), t.TempDir()
	if err := os.Symlink(real, filepath.Join(links, "link")); err != nil {
		t.Fatal(err)
	}
	below, err := Open(t.Context(), filepath.Join(links, "link", "baselines"), "")
	if err != nil {
		t.Fatal(err)
	}
	recordIn(t, below, source("1", "c0ffee"))
	if b, err := below.Load(t.Context(), "smoke", "c0ffee"); err != nil || b.Manifest.Record != 1 {
		t.Errorf("%+v, %v", b, err)
	}
	if err := os.Symlink(filepath.Join(real, "baselines"), filepath.Join(links, "baselines")); err != nil {
		t.Fatal(err)
	}
	if _, err := Folder(filepath.Join(links, "baselines")).Load(t.Context(), "smoke", "c0ffee"); err == nil || !strings.Contains(err.Error(), "it is a link") {
		t.Errorf("a link itself: error %v", err)
	}
}
