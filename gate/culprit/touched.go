package culprit

import (
	"slices"
	"strings"

	"github.com/perfgate/perfgate/gate/profdiff"
	"github.com/perfgate/perfgate/gate/recording"
)

// unit is a part of the change that can be suspected.
type unit struct {
	name   string // with the package
	pkg    string
	file   string // in the repository
	line   int
	kind   string // "func", "const", "var", "type", "module", "assembly"
	hunks  []recording.Hunk
	fresh  bool // only the head side has it
	gone   bool // only the base side has it
	module bool
	test   bool
	users  []string
	detail string // of a module: its versions
}

// place is a range of lines that a unit has in a source file, as profiles name it.
type place struct {
	start, end int
	unit       *unit
}

// index finds the units of a change by what stands in a stack.
type index struct {
	byFunc  map[string]*unit
	byFile  map[string][]place // declarations that are no functions
	modules []*unit            // the longest path first
	users   map[string][]*unit
	all     []*unit
	other   []string // changed files without source
	newGo   []string // what the go and toolchain lines say
	cut     bool
}

func newIndex(d *recording.Diff) *index {
	x := &index{byFunc: map[string]*unit{}, byFile: map[string][]place{}, users: map[string][]*unit{}, cut: d.Truncated}
	for i := range d.Files {
		x.addFile(&d.Files[i])
	}
	for _, m := range d.Modules {
		if m.Path == "go" || m.Path == "toolchain" {
			x.newGo = append(x.newGo, m.Path+" "+m.Base+" -> "+m.Head)
			continue
		}
		u := &unit{name: "module " + m.Path, pkg: m.Path, file: "go.mod", kind: "module", module: true, detail: versions(m)}
		x.modules = append(x.modules, u)
		x.all = append(x.all, u)
	}
	slices.SortFunc(x.modules, func(a, b *unit) int { return len(b.pkg) - len(a.pkg) })
	return x
}

func versions(m recording.ModuleChange) string {
	switch {
	case m.Base == "":
		return "new at " + m.Head
	case m.Head == "":
		return "no longer required"
	}
	return m.Base + " -> " + m.Head
}

func (x *index) addFile(f *recording.FileDiff) {
	if f.Source == "" && f.OldSource == "" {
		x.other = append(x.other, f.Path)
		return
	}
	if strings.HasSuffix(f.Path, ".s") {
		u := &unit{name: f.Pkg + " (" + f.Path + ")", pkg: f.Pkg, file: f.Path, line: 1, kind: "assembly", hunks: f.Hunks}
		x.all = append(x.all, u)
		x.byFile[f.Source] = append(x.byFile[f.Source], place{1, 1 << 30, u})
		return
	}
	on := func(decls []recording.Decl, name, kind string) bool {
		return slices.ContainsFunc(decls, func(d recording.Decl) bool { return d.Name == name && d.Kind == kind })
	}
	renamed := map[string]bool{}
	for _, d := range f.Head {
		if from := sameCode(f.Base, f.Head, d); from != "" {
			renamed[from] = true
			continue // another name for what was there
		}
		x.add(f, d, !on(f.Base, d.Name, d.Kind), false)
	}
	for _, d := range f.Base {
		if d.Kind == "func" && !renamed[d.Name] && !on(f.Head, d.Name, d.Kind) {
			x.add(f, d, false, true)
		}
	}
}

func (x *index) add(f *recording.FileDiff, d recording.Decl, fresh, gone bool) {
	u := &unit{name: f.Pkg + "." + d.Name, pkg: f.Pkg, file: f.Path, line: d.Start, kind: d.Kind, fresh: fresh, gone: gone, test: f.Test, users: d.Users}
	for _, h := range f.Hunks {
		if !gone && h.HeadStart <= d.End && h.HeadStart+max(h.HeadLines, 1) > d.Start {
			u.hunks = append(u.hunks, h)
		}
	}
	x.all = append(x.all, u)
	if d.Kind == "func" {
		if x.byFunc[u.name] == nil || x.byFunc[u.name].gone {
			x.byFunc[u.name] = u
		}
	} else if !gone {
		x.byFile[f.Source] = append(x.byFile[f.Source], place{d.Start, d.End, u})
	}
	for _, name := range u.users {
		x.users[name] = append(x.users[name], u)
	}
}

// sameCode is the base side's name of a function that only has another name now.
func sameCode(base, head []recording.Decl, d recording.Decl) string {
	if d.Kind != "func" {
		return ""
	}
	for _, b := range base {
		stays := slices.ContainsFunc(head, func(h recording.Decl) bool { return h.Kind == "func" && h.Name == b.Name })
		if b.Kind == "func" && b.Hash == d.Hash && b.Name != d.Name && !stays {
			return b.Name
		}
	}
	return ""
}

// Renames maps functions of the base side to those of the head side that are the
// same code under another name or in another package.
func Renames(d *recording.Diff) map[string]string {
	renames := map[string]string{}
	if d == nil {
		return renames
	}
	for _, f := range d.Files {
		oldPkg := f.Pkg
		if f.OldSource != "" && f.OldPath != "" {
			oldPkg = f.OldSource[:max(0, strings.LastIndexByte(f.OldSource, '/'))]
		}
		for _, h := range f.Head {
			if from := sameCode(f.Base, f.Head, h); from != "" {
				renames[oldPkg+"."+from] = f.Pkg + "." + h.Name
			}
		}
	}
	return renames
}

// of is the unit that a frame of a stack belongs to; nil for none.
func (x *index) of(f profdiff.Frame) *unit {
	if u := x.byFunc[f.Func()]; u != nil {
		return u
	}
	for _, p := range x.byFile[f.File] {
		if p.unit.kind == "assembly" || f.Line >= p.start && f.Line <= p.end && f.Line > 0 {
			return p.unit
		}
	}
	for _, m := range x.modules {
		if f.Pkg == m.pkg || strings.HasPrefix(f.Pkg, m.pkg+"/") {
			return m
		}
	}
	return nil
}

// mentionedBy are the units that a frame's function mentions.
func (x *index) mentionedBy(f profdiff.Frame) []*unit { return x.users[f.Func()] }
