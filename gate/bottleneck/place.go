package bottleneck

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/perfgate/perfgate/gate/profdiff"
	"github.com/perfgate/perfgate/gate/recording"
)

// Scope says whose code the profiles are of.
type Scope struct {
	// Module is the path of the module under test.
	Module string
	// Load is the packages, with those below them, that make the load. Test files do
	// in any case.
	Load []string
	// Label is the profiler label that names a part of the program; DefaultLabel
	// where it is empty.
	Label string
}

// DefaultLabel is the profiler label whose values are shown as parts of the
// program.
const DefaultLabel = "module"

// place is where a stack is filed.
type place struct {
	cause *Cause
	// pkg is the package that it is charged to and function the frame nearest to the
	// leaf in it, by its full name.
	pkg, function string
	// caller is the next package of the module outwards, for which pkg works; empty
	// where there is none.
	caller string
	label  string   // of the profile, under Scope.Label
	values []string // of all its labels
	load   bool
}

// id names the bottleneck.
func (p place) id(scope Scope) string {
	return p.cause.ID + "@" + scope.short(p.pkg)
}

// loadPackage stands for all packages that make the load, and runtimePackage for
// the stacks of nobody.
const (
	loadPackage    = "load"
	runtimePackage = "runtime"
)

// short is a package as reports name it: below the module.
func (s Scope) short(pkg string) string {
	pkg = printable(pkg)
	if rest, ok := strings.CutPrefix(pkg, s.Module+"/"); ok {
		return rest
	}
	if pkg == s.Module {
		return "."
	}
	return pkg
}

// nameRunesMax bounds a name: the longest that people write have about 80.
const nameRunesMax = 200

// printable makes a name from a profile, which anybody may have written, safe to
// print.
func printable(name string) string {
	runes := []rune(name)
	if len(runes) > nameRunesMax {
		runes = append(runes[:nameRunesMax], '…')
	}
	for i, r := range runes {
		if !unicode.IsPrint(r) {
			runes[i] = unicode.ReplacementChar
		}
	}
	return string(runes)
}

func (s Scope) own(f profdiff.Frame) bool { return within(f.Pkg, s.Module) }

// within tells whether pkg is root or below it. The package of external tests is
// PKG_test.
func within(pkg, root string) bool {
	pkg = strings.TrimSuffix(pkg, "_test")
	return root != "" && (pkg == root || strings.HasPrefix(pkg, root+"/"))
}

func (s Scope) makesLoad(f profdiff.Frame) bool {
	if strings.HasSuffix(f.File, "_test.go") || f.Pkg == "testing" {
		return true
	}
	return slices.ContainsFunc(s.Load, func(root string) bool { return within(f.Pkg, root) })
}

// artefact matches frames that stand on stacks for no reason of the program's:
// where the kernel interrupted it, and where the stack grew.
var artefact = regexp.MustCompile(`^runtime\.(asyncPreempt\w*|morestack\w*|systemstack\w*|goexit)$`)

// locate files one stack.
func (s Scope) locate(d *profdiff.Data, stack *profdiff.Stack) place {
	p := s.file(d, stack)
	for _, l := range stack.Labels {
		if _, value, ok := strings.Cut(l, "="); ok {
			p.values = append(p.values, printable(value))
		}
		if value, ok := strings.CutPrefix(l, cmp.Or(s.Label, DefaultLabel)+"="); ok {
			p.label = printable(value)
		}
	}
	return p
}

func (s Scope) file(d *profdiff.Data, stack *profdiff.Stack) place {
	var frames []profdiff.Frame
	for _, i := range stack.Frames {
		if f := d.Frames[i]; !artefact.MatchString(f.Func()) {
			frames = append(frames, f)
		}
	}
	at := slices.IndexFunc(frames, s.own)
	if at < 0 {
		return s.background(d.Kind, frames)
	}
	p := place{cause: causeOf(d.Kind, frames[:at], true), pkg: frames[at].Pkg, function: frames[at].Func()}
	for _, f := range frames[at:] {
		if s.own(f) && f.Pkg != p.pkg && !s.makesLoad(f) {
			p.caller = f.Pkg
			break
		}
	}
	if s.makesLoad(frames[at]) {
		p.pkg, p.load, p.caller = loadPackage, true, ""
	}
	return p
}

// background files a stack without a frame of the module: under the nearest other
// module, or else under the runtime.
func (s Scope) background(kind recording.ProfileKind, frames []profdiff.Frame) place {
	at := slices.IndexFunc(frames, func(f profdiff.Frame) bool { return foreign(f.Pkg) })
	if at >= 0 {
		return place{cause: causeOf(kind, frames[:at], true), pkg: moduleOf(frames[at].Pkg), function: frames[at].Func()}
	}
	p := place{cause: causeOf(kind, frames, false), pkg: runtimePackage, function: runtimePackage}
	if len(frames) > 0 {
		p.function = frames[len(frames)-1].Func()
	}
	if slices.ContainsFunc(frames, func(f profdiff.Frame) bool { return f.Pkg == "testing" }) {
		p.pkg, p.load = loadPackage, true
	}
	return p
}

// foreign tells whether a package is of another module: the first part of such an
// import path has a dot, which those of the standard library have not. What Go's
// authors keep beside that library counts as part of it.
func foreign(pkg string) bool {
	first, _, _ := strings.Cut(pkg, "/")
	return strings.Contains(first, ".") && !strings.HasPrefix(pkg, "golang.org/x/")
}

// moduleOf is the module of a foreign package, as far as its path tells: two parts,
// three where the host is known to have an owner between, and the major version.
func moduleOf(pkg string) string {
	parts := strings.Split(pkg, "/")
	n := 2
	if slices.Contains([]string{"github.com", "gitlab.com", "bitbucket.org", "codeberg.org"}, parts[0]) {
		n = 3
	}
	if len(parts) > n && majorVersion.MatchString(parts[n]) {
		n++
	}
	return strings.Join(parts[:min(n, len(parts))], "/")
}

var majorVersion = regexp.MustCompile(`^v\d+$`)

// causeOf looks through what the owner calls. Without an owner nothing is its own
// code.
func causeOf(kind recording.ProfileKind, calls []profdiff.Frame, owned bool) *Cause {
	switch kind {
	case recording.MutexProfile:
		return find(Waiting, contention)
	case recording.BlockProfile:
		if c := find(Waiting, fullChannel); c.signOf(calls) {
			return c
		}
		return find(Waiting, idle)
	}
	for i := range Catalogue {
		if Catalogue[i].signOf(calls) {
			return &Catalogue[i]
		}
	}
	switch {
	case kind == recording.AllocProfile:
		return find(Catalogue, allocation)
	case owned && !slices.ContainsFunc(calls, func(f profdiff.Frame) bool { return !trivial(f.Pkg) }):
		return find(Catalogue, ownCode)
	}
	return find(Catalogue, library)
}

// trivial packages are helpers whose functions are part of the code that calls
// them.
func trivial(pkg string) bool {
	switch pkg {
	case "", "bytes", "cmp", "encoding/binary", "errors", "internal/bytealg", "internal/byteorder", "iter", "maps", "math", "math/bits",
		"runtime", "slices", "strings", "sync/atomic", "internal/runtime/atomic", "unicode/utf8":
		return true
	}
	return false
}

// signOf tells whether one of the calls is a sign of the cause.
func (c *Cause) signOf(calls []profdiff.Frame) bool {
	return c.match != nil && slices.ContainsFunc(calls, func(f profdiff.Frame) bool { return c.match.MatchString(f.Func()) })
}
