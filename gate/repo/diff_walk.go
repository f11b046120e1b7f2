package repo

import (
	"io/fs"
	"path/filepath"
	"strings"
)

// sourceFiles lists the Go files of the head side, in order: not what is vendored,
// hidden, or data of tests.
func (s *sourceDiff) sourceFiles() []string {
	var files []string
	top := s.tops[onHead]
	// What cannot be read has no users that anybody could find.
	_ = filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		base := d.Name()
		if d.IsDir() {
			if name != top && (base == "vendor" || base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
				return filepath.SkipDir
			}
			return nil
		}
		if d.Type().IsRegular() && strings.HasSuffix(base, ".go") {
			if rel, err := filepath.Rel(top, name); err == nil {
				files = append(files, filepath.ToSlash(rel))
			}
		}
		if len(files) == usersFilesMax {
			return filepath.SkipAll
		}
		return nil
	})
	return files
}
