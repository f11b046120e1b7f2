package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// runCheck applies injections, and says what is wrong with them.
func runCheck(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var names only
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	flags.Var(&names, "only", "only the injections whose name matches `REGEX`")
	build := flags.Bool("build", false, "also type-check the packages that an injection changes")
	if err := parseFlags(flags, args, stderr); err != nil {
		return err
	}
	// A file that cannot be read does not keep the others from being checked.
	sets, unreadable := loadSets(embedded)
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	c := checker{root: root, build: *build}
	checked, wrong := 0, 0
	for _, s := range sets {
		for i := range s.Injections {
			in := &s.Injections[i]
			if !names.match(in.Name) {
				continue
			}
			checked++
			if err := c.check(ctx, s, in); err != nil {
				wrong++
				fmt.Fprintf(stdout, "%s: %v\n", in.Name, err)
			}
		}
	}
	fmt.Fprintf(stdout, "%d injections checked, %d wrong\n", checked, wrong)
	if wrong > 0 {
		unreadable = errors.Join(unreadable, fmt.Errorf("%d injections are wrong", wrong))
	}
	return unreadable
}

// checker applies injections to the trees that they are meant for.
type checker struct {
	root  string // of this repository
	build bool
}

func (c *checker) check(ctx context.Context, s *Set, in *Injection) error {
	dir, base := c.root, thisModule
	if s.Module != "" {
		var err error
		if dir, err = download(ctx, s.Module, s.Version); err != nil {
			return err
		}
		base = path.Base(s.Module)
	}
	changed, err := in.fits(os.DirFS(dir), base)
	if err != nil {
		return err
	}
	if in.Dependency != nil {
		return c.checkDependency(ctx, dir, in)
	}
	if c.build {
		return compile(ctx, dir, changed, s.Module != "")
	}
	return nil
}

// fits tells whether an injection applies to a tree, names what it declares, and
// has benchmarks there. It gives the files that are changed.
func (in *Injection) fits(tree fs.FS, base string) (map[string][]byte, error) {
	changed, err := checkTree(tree, in.Edits)
	if err != nil {
		return nil, err
	}
	if err := checkGuilty(tree, base, in, changed); err != nil {
		return nil, err
	}
	return changed, checkBench(tree, in)
}

// checkTree applies edits and looks at the files that come out.
func checkTree(tree fs.FS, edits []Edit) (map[string][]byte, error) {
	changed, err := applyEdits(tree, edits)
	if err != nil {
		return nil, err
	}
	return changed, unformatted(tree, changed)
}

// checkDependency applies the edits to the other module.
func (c *checker) checkDependency(ctx context.Context, dir string, in *Injection) error {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return err
	}
	u := in.Dependency
	if !strings.Contains(string(mod), u.Module+" "+u.Version) {
		return fmt.Errorf("dependency: go.mod does not require %s %s", u.Module, u.Version)
	}
	if _, err := u.slower(); err != nil {
		return err
	}
	upstream, err := download(ctx, u.Module, u.Version)
	if err != nil {
		return err
	}
	changed, err := checkTree(os.DirFS(upstream), u.Edits)
	if err != nil {
		return fmt.Errorf("dependency: %w", err)
	}
	if c.build {
		return compile(ctx, upstream, changed, true)
	}
	return nil
}

// checkGuilty looks for the guilty names in the packages that are changed. base is
// how perfgate prints the module's root package; what is below has its path.
func checkGuilty(tree fs.FS, base string, in *Injection, changed map[string][]byte) error {
	if len(in.Guilty) == 0 {
		return nil
	}
	var declared []string
	for file := range changed {
		dir := path.Dir(file)
		names, err := fs.Glob(tree, path.Join(dir, "*.go"))
		if err != nil {
			return err
		}
		for _, name := range append(names, file) {
			text, ok := changed[name]
			if !ok {
				if text, err = fs.ReadFile(tree, name); err != nil {
					return err
				}
			}
			if path.Ext(name) != ".go" {
				continue
			}
			found, err := parseDeclarations(name, text)
			if err != nil {
				return err
			}
			for _, d := range found.names {
				declared = append(declared, printed(base, dir, d))
			}
		}
	}
	for _, g := range in.Guilty {
		if !slices.Contains(declared, g) {
			return fmt.Errorf("guilty: %s is not declared in a package that the edits change; write it as DIR.NAME, DIR.(*T).NAME or DIR.T.NAME", g)
		}
	}
	return nil
}

// checkBench looks for a benchmark function that the pattern's first part matches.
func checkBench(tree fs.FS, in *Injection) error {
	first, _, _ := strings.Cut(in.Bench, "/")
	pattern, err := regexp.Compile(first)
	if err != nil {
		return err
	}
	for _, p := range in.Packages {
		dir, below := strings.CutSuffix(path.Clean(p), "/...")
		found := false
		err := fs.WalkDir(tree, dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || found {
				return err
			}
			if d.IsDir() {
				if name != dir && !below {
					return fs.SkipDir
				}
				return nil
			}
			if !strings.HasSuffix(name, "_test.go") {
				return nil
			}
			text, err := fs.ReadFile(tree, name)
			if err != nil {
				return err
			}
			declared, err := parseDeclarations(name, text)
			found = err == nil && slices.ContainsFunc(declared.names, func(n string) bool { return strings.HasPrefix(n, "Benchmark") && pattern.MatchString(n) })
			return err
		})
		if err != nil {
			return fmt.Errorf("packages: %w", err)
		}
		if !found {
			return fmt.Errorf("bench: no benchmark function of %s matches %s", p, first)
		}
	}
	return nil
}

// compile type-checks the packages that changed files belong to. A module of the
// proxy lies in the module cache, which nothing may be laid over: it is copied. It is
// built only, since other people's code may have what go vet objects to.
func compile(ctx context.Context, dir string, changed map[string][]byte, cached bool) error {
	work, err := os.MkdirTemp("", "attribution-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	args := []string{"vet"}
	if cached {
		args = []string{"build"}
		copied := filepath.Join(work, "module")
		if err := copyModule(copied, dir); err != nil {
			return err
		}
		if err := writeFiles(copied, changed); err != nil {
			return err
		}
		dir = copied
	} else {
		overlay, err := writeOverlay(work, dir, changed)
		if err != nil {
			return err
		}
		args = append(args, "-overlay", overlay)
	}
	var pkgs []string
	for file := range changed {
		if pkg := "./" + path.Dir(file); path.Ext(file) == ".go" && !slices.Contains(pkgs, pkg) {
			pkgs = append(pkgs, pkg)
		}
	}
	if len(pkgs) == 0 {
		return nil
	}
	slices.Sort(pkgs)
	_, err = runIn(ctx, dir, nil, "go", append(args, pkgs...)...)
	return err
}

// writeOverlay writes changed files beside a tree, and the file that tells the go
// command of them.
func writeOverlay(work, dir string, changed map[string][]byte) (string, error) {
	if err := writeFiles(work, changed); err != nil {
		return "", err
	}
	replace := map[string]string{}
	for file := range changed {
		replace[filepath.Join(dir, filepath.FromSlash(file))] = filepath.Join(work, filepath.FromSlash(file))
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(work, "overlay.json")
	return name, os.WriteFile(name, text, 0o644)
}
