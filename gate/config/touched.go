package config

import (
	"path"
	"slices"
	"strings"
)

// JudgedBy picks from the files of a change those that it is judged by: the
// policy, the stored baselines, and the suites' benchmarks. A change that touches
// them is measured by the base side's, and its reader should look at them first.
//
// file is this configuration's own path. Like the paths in it, it is relative to
// the module; files are relative to the repository, where the module is in the
// folder module ("." for its root). All are slash-separated.
func (c *Config) JudgedBy(files []string, module, file string) []string {
	var touched []string
	for _, f := range files {
		inModule, ok := below(f, module)
		if ok && (inModule == path.Clean(file) || c.isBaseline(inModule) || slices.ContainsFunc(c.suites(), func(s Suite) bool { return s.has(inModule) })) {
			touched = append(touched, f)
		}
	}
	return touched
}

// suites are all sets of benchmarks; without any, every benchmark is the suite.
func (c *Config) suites() []Suite {
	if len(c.Suites) == 0 {
		return []Suite{{Packages: []string{"./..."}}}
	}
	suites := make([]Suite, 0, len(c.Suites))
	for _, s := range c.Suites {
		suites = append(suites, s)
	}
	return suites
}

// isBaseline tells whether a file is, or is in, the folder of stored baselines. A
// link that takes the folder's place is the folder's own path.
func (c *Config) isBaseline(file string) bool {
	if c.Baseline == "" || strings.Contains(c.Baseline, "://") {
		return false
	}
	folder := path.Clean(c.Baseline)
	_, in := below(file, folder)
	return in || file == folder
}

// has tells whether a file belongs to the suite: everything beside its manifest
// and below, and the tests of its packages.
func (s Suite) has(file string) bool {
	if s.Manifest != "" {
		manifest := path.Clean(s.Manifest)
		if _, in := below(file, path.Dir(manifest)); file == manifest || in && path.Dir(manifest) != "." {
			return true
		}
	}
	if !strings.HasSuffix(file, "_test.go") {
		return false
	}
	return slices.ContainsFunc(s.Packages, func(pattern string) bool {
		root, recursive := strings.CutSuffix(pattern, "...")
		root = path.Clean(root)
		_, in := below(file, root)
		return in && (recursive || path.Dir(file) == root)
	})
}

// below is file relative to folder, where it is in there.
func below(file, folder string) (string, bool) {
	if folder == "." || folder == "" {
		return file, true
	}
	return strings.CutPrefix(file, folder+"/")
}
