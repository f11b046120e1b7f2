package repo

import (
	"maps"
	"slices"
	"strings"

	"github.com/perfgate/perfgate/gate/recording"
)

// goMod is what is read of a go.mod file.
type goMod struct {
	path     string
	requires map[string]string // version by module
	replaces map[string]string // replacement by module
}

// parseGoMod reads a go.mod file that the go command has accepted, so that what it
// does not know it skips.
func parseGoMod(text []byte) goMod {
	m := goMod{requires: map[string]string{}, replaces: map[string]string{}}
	block := ""
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "//")
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
			continue
		case words[0] == ")":
			block = ""
			continue
		case len(words) == 2 && words[1] == "(":
			block = words[0]
			continue
		case block != "":
			words = append([]string{block}, words...)
		}
		m.directive(words)
	}
	return m
}

func (m *goMod) directive(words []string) {
	for i := range words {
		words[i] = strings.Trim(words[i], "\"`")
	}
	switch {
	case words[0] == "module" && len(words) == 2:
		m.path = words[1]
	case words[0] == "require" && len(words) >= 3:
		m.requires[words[1]] = words[2]
	case (words[0] == "go" || words[0] == "toolchain") && len(words) == 2:
		m.requires[words[0]] = words[1]
	case words[0] == "replace":
		if at := slices.Index(words, "=>"); at >= 2 && at+1 < len(words) {
			m.replaces[words[1]] = "=> " + strings.Join(words[at+1:], " ")
		}
	}
}

// version is what the module stands for, with its replacement.
func (m goMod) version(module string) string {
	return strings.TrimSpace(m.requires[module] + " " + m.replaces[module])
}

// moduleChanges compares a go.mod file between the sides.
func (s *sourceDiff) moduleChanges(f recording.FileDiff) []recording.ModuleChange {
	if f.Added || f.Removed || f.OldPath != "" {
		return nil
	}
	base, head := parseGoMod(s.read(onBase, f.Path)), parseGoMod(s.read(onHead, f.Path))
	all := map[string]bool{}
	for _, m := range []map[string]string{base.requires, base.replaces, head.requires, head.replaces} {
		// maprange: a set, sorted below
		for module := range m {
			all[module] = true
		}
	}
	var changes []recording.ModuleChange
	for _, module := range slices.Sorted(maps.Keys(all)) {
		if b, h := base.version(module), head.version(module); b != h {
			changes = append(changes, recording.ModuleChange{Path: module, Base: b, Head: h})
		}
	}
	return changes
}
