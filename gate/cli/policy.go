package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/suite"
)

// configure reads the base side's perfgate.yml: a change cannot bring its own
// policy.
func (r *run) configure(ctx context.Context) error {
	name := cmp.Or(r.flags.config, configFile)
	data, err := os.ReadFile(filepath.Join(r.baseDir, filepath.FromSlash(name)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.cfg = config.Default()
		if _, err := os.Stat(filepath.Join(r.headDir, filepath.FromSlash(name))); err == nil {
			r.warn("%s is new on the head side: it counts once it is on the base side", name)
		} else if r.flags.config != "" {
			return fmt.Errorf("--config %s: neither side has this file", name)
		}
	case err != nil:
		return fmt.Errorf("reading the policy: %w", err)
	default:
		if r.cfg, err = config.Parse(data, name); err != nil {
			return fmt.Errorf("base side: %w", err)
		}
		if !holds(filepath.Join(r.headDir, filepath.FromSlash(name)), data) {
			r.warn("%s differs between the sides: the base side's counts", name)
		}
	}
	if err := r.noticeEdits(ctx, name); err != nil {
		return err
	}
	r.manifest.Policy, r.manifest.WaiversAllowed = r.cfg.Policy, r.cfg.Waivers.Allow
	if r.flags.against {
		r.manifest.Policy.Rules = append(slices.Clone(r.cfg.Policy.Rules), config.Rule{Baseline: config.BaselineGate})
	}
	if err := r.readWaivers(ctx); err != nil {
		return err
	}
	return r.chooseSuite()
}

// holds tells whether a file has this content. It is not read where it is a link,
// which on the head side could lead to a device without an end.
func holds(path string, content []byte) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() != int64(len(content)) {
		return false
	}
	have, err := os.ReadFile(path)
	return err == nil && string(have) == string(content)
}

// editsShown is how many edited files are named.
const editsShown = 5

// noticeEdits says where a pull request touches what it is judged by.
func (r *run) noticeEdits(ctx context.Context, name string) error {
	if !r.flags.pullRequest {
		return nil
	}
	files, err := r.repo.ChangedFiles(ctx, r.manifest.Base.Commit, r.manifest.Head.Commit)
	if err != nil {
		return err
	}
	edited := r.cfg.JudgedBy(files, filepath.ToSlash(r.repo.Module), name)
	if len(edited) == 0 {
		return nil
	}
	shown := make([]string, min(len(edited), editsShown))
	for i := range shown {
		shown[i] = strconv.QuoteToGraphic(edited[i])
	}
	more := ""
	if left := len(edited) - len(shown); left > 0 {
		more = fmt.Sprintf(" and %d more", left)
	}
	r.warn("this change touches what it is judged by: %s%s; policy and baselines are the base side's, and a redefined benchmark is not compared",
		strings.Join(shown, ", "), more)
	return nil
}

// readWaivers reads what the head side's commits ask to be accepted. Whether
// that may be is the base side's policy.
func (r *run) readWaivers(ctx context.Context) error {
	trailers, err := r.repo.Trailers(ctx, r.manifest.Base.Commit, r.manifest.Head.Commit, config.WaiverTrailer)
	if err != nil {
		return err
	}
	for _, t := range trailers {
		w := config.ParseWaiver(t.Value, t.Commit, time.Now())
		switch {
		case w.Refused != "":
		case !r.cfg.Waivers.Allow:
			w.Refused = "the base side's policy allows no waivers"
		case r.flags.pullRequest:
			w.Refused = "it waits for a maintainer's approval of the pull request"
		case len(r.cfg.Waivers.By) > 0:
			w.Refused = "it counts once " + strings.Join(r.cfg.Waivers.By, " or ") + " has approved the pull request"
		}
		r.manifest.Waivers = append(r.manifest.Waivers, w)
	}
	return nil
}

func (r *run) warn(format string, args ...any) {
	r.manifest.Warnings = append(r.manifest.Warnings, fmt.Sprintf(format, args...))
}

// chooseSuite decides what is measured: --pkg, --suite, the smoke suite, or
// every benchmark of the module.
func (r *run) chooseSuite() error {
	name := r.flags.suite
	if len(r.flags.packages) > 0 {
		if name != "" {
			return errors.New("--pkg and --suite exclude each other: a suite names its own packages")
		}
		for _, pattern := range r.flags.packages {
			r.suite.Packages = append(r.suite.Packages, r.fromModule(pattern))
		}
		return nil
	}
	if name == "" && len(r.cfg.Suites) == 0 {
		r.suite = config.Suite{Packages: []string{"./..."}}
		return nil
	}
	names := slices.Sorted(maps.Keys(r.cfg.Suites))
	switch {
	case name == "" && len(names) == 1:
		name = names[0]
	case name == "":
		name = defaultSuite
	}
	chosen, ok := r.cfg.Suites[name]
	switch {
	case len(names) == 0:
		return fmt.Errorf("--suite %q: the base side has no suites in %s; a file in the working tree counts once it is committed to the base", name, configFile)
	case !ok && r.flags.suite == "":
		return fmt.Errorf("the base side's %s has no suite %q, which is the default: choose one with --suite: %s", configFile, name, strings.Join(names, ", "))
	case !ok:
		return fmt.Errorf("--suite %q: the base side's %s has %s", name, configFile, strings.Join(names, ", "))
	}
	r.suite, r.manifest.Suite = chosen, name
	return nil
}

// fromModule turns a package pattern relative to the working folder into one
// relative to the module, which is where both sides are built.
func (r *run) fromModule(pattern string) string {
	if pattern != "." && pattern != ".." && !strings.HasPrefix(pattern, "./") && !strings.HasPrefix(pattern, "../") {
		return pattern
	}
	dir, err := filepath.EvalSymlinks(r.env.Dir)
	if err != nil {
		return pattern
	}
	rel, err := filepath.Rel(filepath.Join(r.repo.Top, r.repo.Module), dir)
	if err != nil {
		return pattern
	}
	return "./" + path.Join(filepath.ToSlash(rel), pattern)
}

// readSuite reads the suite's manifest from the base side.
func (r *run) readSuite() error {
	if r.suite.Manifest == "" {
		return nil
	}
	m, err := suite.Load(filepath.Join(r.baseDir, filepath.FromSlash(r.suite.Manifest)))
	if err != nil {
		return fmt.Errorf("base side: suite %s: %w", r.manifest.Suite, err)
	}
	if r.measure.Only = m.Keys(r.manifest.Suite); len(r.measure.Only) == 0 {
		return fmt.Errorf("base side: %s lists no benchmark of size %q", r.suite.Manifest, r.manifest.Suite)
	}
	return nil
}
