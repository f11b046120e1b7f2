package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/perfgate/perfgate/gate/profdiff"
	"github.com/perfgate/perfgate/gate/recording"
)

// executed are the functions on stacks of benchmarks of the base side, by what was
// run: module, package and pattern. A call measures each once, since many
// injections share a benchmark.
type executed map[string]map[string]bool

// benchTime is how long each benchmark runs for its stacks: a hundred looks.
const benchTime = "1s"

// of gives the functions, by import path and name, that are on a stack of an
// injection's benchmarks; dir is the base side.
func (e executed) of(ctx context.Context, dir, work string, s *Set, in *Injection) (map[string]bool, error) {
	out, err := runIn(ctx, dir, nil, "go", append([]string{"list"}, in.Packages...)...)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for pkg := range strings.FieldsSeq(out) {
		key := executedKey(s, pkg, in.Bench)
		if e[key] == nil {
			if e[key], err = stacksOf(ctx, dir, work, pkg, in.Bench); err != nil {
				return nil, fmt.Errorf("looking for functions on the stacks of %s: %w", pkg, err)
			}
		}
		for name := range e[key] {
			all[name] = true
		}
	}
	return all, nil
}

func executedKey(s *Set, pkg, bench string) string {
	return s.Module + "@" + s.Version + " " + pkg + " " + bench
}

// stacksOf runs one package's benchmarks under the CPU profiler. A package without
// tests has no stacks.
func stacksOf(ctx context.Context, dir, work, pkg, bench string) (map[string]bool, error) {
	file := filepath.Join(work, "stacks.pprof")
	defer os.Remove(file)
	// Without the names of folders, what was built for another clone is used again.
	if _, err := runIn(ctx, dir, nil, "go", "test", "-trimpath", "-run", "^$", "-bench", bench, "-benchtime", benchTime,
		"-cpuprofile", file, "-o", filepath.Join(work, "stacks.test"), pkg); err != nil {
		return nil, err
	}
	found := map[string]bool{}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	p, err := recording.DecodeProfile(data)
	if err != nil {
		return nil, err
	}
	d, err := profdiff.Join(recording.CPUProfile, profdiff.Time, []profdiff.Run{{Profile: p, N: 1}}, nil, nil)
	if err != nil {
		return nil, err
	}
	for _, f := range d.Frames {
		found[f.Func()] = true
	}
	return found, nil
}

// modulePath is the path of the module at dir.
func modulePath(ctx context.Context, dir string, env []string) (string, error) {
	out, err := runIn(ctx, dir, env, "go", "list", "-m")
	return strings.TrimSpace(out), err
}

// qualified is a declaration's name with the import path of its package.
func qualified(module, pkg, name string) string { return path.Join(module, pkg) + "." + name }
