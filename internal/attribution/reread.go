package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/perfgate/perfgate/gate/recording"
)

// reader names suspects again, by the rules of this program.
type reader struct {
	keep   string // where bundles are
	commit string // what this program was built from
	tasks  map[string]task
	again  int
	absent int // runs whose bundle was not kept
}

// runReread reads kept bundles again: what was measured stays, and the suspects are
// those that the rules of today name.
func runReread(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var data string
	r := reader{tasks: map[string]task{}}
	flags := flag.NewFlagSet("reread", flag.ContinueOnError)
	flags.StringVar(&data, "data", "", "the folder `DIR` of the runs (required)")
	flags.StringVar(&r.keep, "keep", "", "the folder `DIR` in which run --keep has put the bundles (required)")
	if err := parseFlags(flags, args, stderr); err != nil {
		return err
	}
	if data == "" || r.keep == "" {
		return errors.New("reread: --data and --keep: name the folders of the runs and of their bundles")
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	if dirty(ctx, root, data) {
		return errors.New("reread: the working tree differs from HEAD, so that nobody could tell whose rules these are: commit what you have")
	}
	out, err := runIn(ctx, root, nil, "git", "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	r.commit = strings.TrimSpace(out)
	sets, err := loadSets(embedded)
	if err != nil {
		return err
	}
	for _, s := range sets {
		for i := range s.Injections {
			r.tasks[s.Injections[i].Hash(s)] = task{s, &s.Injections[i]}
		}
	}
	files, err := filepath.Glob(filepath.Join(data, "*.jsonl"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := r.file(file); err != nil {
			return fmt.Errorf("reread: %s: %w", file, err)
		}
	}
	fmt.Fprintf(stdout, "%d runs read again, %d have no bundle in %s\n", r.again, r.absent, r.keep)
	return nil
}

// file reads the runs of one file again, and replaces it at once.
func (r *reader) file(path string) error {
	lines, err := readFile(path)
	if err != nil {
		return err
	}
	var all bytes.Buffer
	for _, l := range lines {
		if err := r.line(&l); err != nil {
			return fmt.Errorf("%s: %w", l.Name, err)
		}
		text, err := json.Marshal(l)
		if err != nil {
			return err
		}
		all.Write(append(text, '\n'))
	}
	if err := os.WriteFile(path+".new", all.Bytes(), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// line reads one run again. That the bundle is another one is an error.
func (r *reader) line(l *Line) error {
	t, known := r.tasks[l.Hash]
	if l.Error != "" || !known {
		return nil
	}
	b, err := recording.Read(bundleOf(r.keep, l.Name, l.Seed))
	if errors.Is(err, os.ErrNotExist) {
		r.absent++
		return nil
	}
	if err != nil {
		return err
	}
	fresh := *l
	fresh.Tests, fresh.Profiled = nil, nil
	if err := fresh.read(&b, t.in); err != nil {
		return err
	}
	same := slices.EqualFunc(l.Tests, fresh.Tests, func(a, b Test) bool {
		return a.Bench == b.Bench && a.Unit == b.Unit && a.Channel == b.Channel && a.Decision == b.Decision && a.Slowdown == b.Slowdown
	})
	if !same {
		return errors.New("the bundle says something else than the run: is it of another one?")
	}
	fresh.Rules = r.commit
	if fresh.Rules == l.Commit {
		fresh.Rules = ""
	}
	*l = fresh
	r.again++
	return nil
}
