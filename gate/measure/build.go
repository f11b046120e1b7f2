package measure

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/repo"
)

// BuildFlags are the flags that both sides are built with. Aligning functions
// to 64 bytes removes most of the effect that code layout alone has on an
// untouched benchmark.
var BuildFlags = []string{"-trimpath", "-ldflags=-funcalign=64"}

// A BuildError is a side that does not compile, with what the compiler said.
type BuildError struct {
	Side   recording.Side
	Pkg    string
	Output string
}

func (e *BuildError) Error() string {
	return fmt.Sprintf("%s side: %s does not compile:\n%s", e.Side, e.Pkg, e.Output)
}

// ErrNoRoom: there is no place to build in. It says nothing of either side.
var ErrNoRoom = errors.New("no room for test binaries: free some space, or set TMPDIR to another folder")

// Toolchain is the Go installation that builds both sides.
type Toolchain struct {
	Root    string
	Version string // "go1.26.8"
	work    string // GOWORK; empty where the go command looks for it itself
	tmp     string // GOTMPDIR: a killed go command leaves its temporary files
}

// within is the toolchain for the module at dir in the tree at top. The tree may
// lie inside another one, as a worktree below the git directory does, and a
// go.work or go.mod up there is not its own.
func (t Toolchain) within(side recording.Side, top, dir string) (Toolchain, error) {
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return t, &BuildError{Side: side, Pkg: "the module", Output: "this version has no go.mod in the module's folder"}
	}
	// Whoever sets GOWORK means both sides.
	if top == "" || os.Getenv("GOWORK") != "" {
		return t, nil
	}
	if t.work = workFile(top, dir); t.work == "" {
		t.work = "off"
	}
	return t, nil
}

// workFile is the go.work that governs dir, not looking above top.
func workFile(top, dir string) string {
	for ; ; dir = filepath.Dir(dir) {
		file := filepath.Join(dir, "go.work")
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			return file
		}
		if dir == top || dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// FindToolchain asks the go command on PATH, in the module at dir, which
// toolchain it selects there.
func FindToolchain(ctx context.Context, dir string) (Toolchain, error) {
	if _, err := exec.LookPath("go"); err != nil {
		return Toolchain{}, errors.New("the go command is not installed or not on PATH: perfgate builds benchmarks with it")
	}
	cmd := exec.CommandContext(ctx, "go", "env", "GOROOT", "GOVERSION", "GOMOD")
	cmd.Dir, cmd.Env = dir, repo.WithoutSecrets(os.Environ())
	out, err := cmd.Output()
	if err != nil {
		return Toolchain{}, fmt.Errorf("asking go for its version in %s: %w", dir, withStderr(err))
	}
	f := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(f) != 3 || f[2] == "" || f[2] == os.DevNull {
		return Toolchain{}, fmt.Errorf("%s is not inside a Go module: run perfgate below a go.mod", dir)
	}
	return Toolchain{Root: f[0], Version: f[1]}, nil
}

// ModuleRoot is the folder of the go.mod that governs dir.
func ModuleRoot(ctx context.Context, dir string) (string, error) {
	if _, err := exec.LookPath("go"); err != nil {
		return "", errors.New("the go command is not installed or not on PATH: perfgate builds benchmarks with it")
	}
	cmd := exec.CommandContext(ctx, "go", "env", "GOMOD")
	cmd.Dir, cmd.Env = dir, repo.WithoutSecrets(os.Environ())
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("looking for a Go module in %s: %w", dir, withStderr(err))
	}
	mod := strings.TrimSpace(string(out))
	if mod == "" || mod == os.DevNull {
		return "", fmt.Errorf("%s is not inside a Go module: run perfgate below a go.mod", dir)
	}
	return filepath.Dir(mod), nil
}

// command is the go command of the toolchain, held to that toolchain.
func (t Toolchain) command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(t.Root, "bin", "go"), args...)
	cmd.Dir = dir
	cmd.Env = append(repo.WithoutSecrets(os.Environ()), "GOTOOLCHAIN=local", "GOROOT="+t.Root)
	if t.work != "" {
		cmd.Env = append(cmd.Env, "GOWORK="+t.work)
	}
	if t.tmp != "" {
		cmd.Env = append(cmd.Env, "GOTMPDIR="+t.tmp)
	}
	// The compilers must end with it: they write to folders that are removed next.
	setGroup(cmd)
	cmd.Cancel = func() error { killGroup(cmd); return nil }
	return cmd
}

// ModulePath is the module path of the go.mod in dir.
func (t Toolchain) ModulePath(ctx context.Context, dir string) (string, error) {
	out, err := t.command(ctx, dir, "list", "-m").Output()
	if err != nil {
		return "", fmt.Errorf("reading the module path in %s: %w", dir, withStderr(err))
	}
	return strings.TrimSpace(string(out)), nil
}

// pkg is a package with benchmarks on one side.
type pkg struct {
	path       string
	dir        string
	testFiles  []string
	benchmarks []string // names of the benchmark functions, sorted
	binary     string
	binaryHash string
	inputsHash string
}

// listPackages finds the packages below patterns that have benchmark functions.
func (t Toolchain) listPackages(ctx context.Context, side recording.Side, dir string, patterns []string) (map[string]*pkg, error) {
	args := append([]string{"list", "-e", "-json=ImportPath,Dir,TestGoFiles,XTestGoFiles,Error", "--"}, patterns...)
	cmd := t.command(ctx, dir, args...)
	out, err := cmd.Output()
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &BuildError{Side: side, Pkg: strings.Join(patterns, " "), Output: explain(trimOutput(withStderr(err).Error(), dir))}
	}
	pkgs := map[string]*pkg{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Dir           string
			TestGoFiles, XTestGoFiles []string
			Error                     *struct{ Err string }
		}
		if err := dec.Decode(&p); err == io.EOF {
			return pkgs, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading what go list printed: %w", err)
		}
		if p.Error != nil && p.Dir == "" && side == recording.Head {
			return nil, fmt.Errorf("%w: %s; patterns are those of go build, such as ./... or ./sub", ErrNoBenchmarks, trimOutput(p.Error.Err, dir))
		}
		if p.Error != nil && p.Dir == "" {
			return nil, &BuildError{Side: side, Pkg: p.ImportPath, Output: explain(trimOutput(p.Error.Err, dir))}
		}
		found := &pkg{path: p.ImportPath, dir: p.Dir, testFiles: append(p.TestGoFiles, p.XTestGoFiles...)}
		if err := found.findBenchmarks(); err != nil {
			return nil, &BuildError{Side: side, Pkg: p.ImportPath, Output: trimOutput(err.Error(), dir)}
		}
		if len(found.benchmarks) > 0 {
			pkgs[p.ImportPath] = found
		}
	}
}

// findBenchmarks parses the test files for func BenchmarkXxx(*testing.B).
func (p *pkg) findBenchmarks() error {
	fset := token.NewFileSet()
	for _, name := range p.testFiles {
		file, err := parser.ParseFile(fset, filepath.Join(p.dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !isBenchmarkName(fn.Name.Name) || len(fn.Type.Params.List) != 1 {
				continue
			}
			p.benchmarks = append(p.benchmarks, fn.Name.Name)
		}
	}
	slices.Sort(p.benchmarks)
	return nil
}

// isBenchmarkName follows the go command: "Benchmark" and then no lower-case
// letter.
func isBenchmarkName(name string) bool {
	rest, ok := strings.CutPrefix(name, "Benchmark")
	if !ok {
		return false
	}
	return rest == "" || !('a' <= rest[0] && rest[0] <= 'z')
}

// build compiles the test binary of the package at path.
func (t Toolchain) build(ctx context.Context, side recording.Side, moduleDir, overlay, out, path string, flags []string) error {
	args := append([]string{"test", "-c", "-overlay", overlay, "-o", out}, flags...)
	// No "--": go test takes what follows it for the test binary's arguments, and
	// builds the package in the current folder.
	cmd := t.command(ctx, moduleDir, append(args, path)...)
	text, err := cmd.CombinedOutput()
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if bytes.Contains(text, []byte("no space left on device")) {
			return fmt.Errorf("%w: building %s: no space left on device", ErrNoRoom, path)
		}
		return &BuildError{Side: side, Pkg: path, Output: explain(trimOutput(string(text), moduleDir))}
	}
	return nil
}

// explain adds what the go command cannot know to what it says.
func explain(output string) string {
	if strings.Contains(output, "replacement directory") && strings.Contains(output, "does not exist") {
		output += "\ngo.mod replaces a module with a folder outside the repository; no commit holds that folder, so a checked-out side cannot see it: use a go.work file, or vendor the module"
	}
	return output
}

// hashInputs hashes what the benchmarks of p can read from the tree: its own
// folder with testdata, and the inputs that perfgate.yml lists.
func (p *pkg) hashInputs(moduleDir string, inputs []string) error {
	roots := []string{filepath.Join(p.dir, "testdata")}
	for _, in := range inputs {
		roots = append(roots, filepath.Join(moduleDir, in))
	}
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return fmt.Errorf("hashing the inputs of %s: %w", p.path, err)
	}
	for _, e := range entries {
		// In a worktree .git is a file.
		if !e.IsDir() && e.Name() != ".git" {
			roots = append(roots, filepath.Join(p.dir, e.Name()))
		}
	}
	found := inputFiles{seen: map[string]bool{}}
	for _, root := range roots {
		if err := found.add(root); err != nil {
			return fmt.Errorf("hashing the inputs of %s: %w", p.path, err)
		}
	}
	rel := make([]string, len(found.names))
	for i, n := range found.names {
		if rel[i], err = filepath.Rel(moduleDir, n); err != nil {
			return fmt.Errorf("hashing the inputs of %s: %w", p.path, err)
		}
	}
	p.inputsHash, err = hashFiles(moduleDir, rel)
	return err
}

// inputFiles gathers regular files. Links are followed: what a benchmark reads
// through one is its input too.
type inputFiles struct {
	names []string
	seen  map[string]bool // folders, without links: a link may lead back
}

// add gathers path, or what is below it. What is not there, or a link to
// nothing, has nothing that could be read.
func (f *inputFiles) add(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().IsRegular():
		f.names = append(f.names, path)
		return nil
	case !info.IsDir():
		return nil
	}
	folder, err := filepath.EvalSymlinks(path)
	if err != nil || f.seen[folder] {
		return err
	}
	f.seen[folder] = true
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := f.add(filepath.Join(path, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// hashFiles hashes names and contents of files below dir, in sorted order.
func hashFiles(dir string, names []string) (string, error) {
	slices.Sort(names)
	h := sha256.New()
	for _, name := range slices.Compact(names) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", fmt.Errorf("hashing: %w", err)
		}
		fmt.Fprintf(h, "%s %d\n", strconv.Quote(filepath.ToSlash(name)), len(data))
		h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// withStderr adds what the command printed to its exit status.
func withStderr(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(bytes.TrimSpace(exit.Stderr)) > 0 {
		return errors.New(strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}

// trimOutput makes another program's output fit to be shown: the folder that
// it ran in is cut from paths, control characters are replaced, and only the
// first lines are kept.
func trimOutput(s, dir string) string {
	const linesMax, bytesMax = 20, 2000
	if dir != "" {
		s = strings.ReplaceAll(s, dir+string(filepath.Separator), "")
	}
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r >= ' ' && r != 0x7f {
			return r
		}
		return '\uFFFD'
	}, strings.ToValidUTF8(strings.TrimSpace(s), "\uFFFD"))
	lines := strings.Split(s, "\n")
	if len(lines) > linesMax {
		lines = append(lines[:linesMax], fmt.Sprintf("(%d more lines)", len(lines)-linesMax))
	}
	s = strings.Join(lines, "\n")
	if len(s) > bytesMax {
		s = strings.ToValidUTF8(s[:bytesMax], "") + " ..."
	}
	return s
}
