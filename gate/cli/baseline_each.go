package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/perfgate/perfgate/gate/baseline"
	"github.com/perfgate/perfgate/gate/repo"
	"github.com/perfgate/perfgate/gate/verdict"
)

// stores are the flags of the commands that go over the stored baselines.
type stores struct {
	env   *Env
	name  string // of the command
	fs    *flag.FlagSet
	place string
	suite string
}

func (e *Env) newStores(name, synopsis, what string) *stores {
	s := &stores{env: e, name: name, fs: flag.NewFlagSet("baseline "+name, flag.ContinueOnError)}
	s.fs.StringVar(&s.place, "baseline", "", baselineFlagHelp)
	s.fs.StringVar(&s.suite, "suite", "", "only the baselines of this `SUITE`")
	s.fs.Usage = e.usageOf(s.fs, synopsis, what)
	return s
}

// stored is one baseline by its name.
type storedAt struct {
	store        baseline.Store
	suite, class string
	shown        string
}

// each calls do for every baseline, and gives the most serious exit code. None
// at all is an error: who asks for them believes that there are some.
func (s *stores) each(ctx context.Context, do func(at storedAt) error) int {
	fail := func(err error) int { return s.env.fail(storeCode(err), fmt.Errorf("%s: %w", s.fs.Name(), err)) }
	store, shown, err := s.env.openBaselines(ctx, s.place)
	if err != nil {
		return fail(err)
	}
	defer store.Close()
	all, err := s.list(ctx, store, shown)
	if err != nil {
		return fail(err)
	}
	code := verdict.ExitPass
	for _, at := range all {
		if err := do(at); err != nil {
			code = worse(code, fail(err))
		}
	}
	return code
}

// worse of two exit codes: what cannot be read comes before what was not measured.
func worse(a, b int) int {
	if a == verdict.ExitUsage {
		return a
	}
	return b
}

func (s *stores) list(ctx context.Context, store baseline.Store, shown string) ([]storedAt, error) {
	suites, err := store.Suites(ctx)
	if err != nil {
		return nil, err
	}
	var all []storedAt
	for _, suite := range suites {
		if s.suite != "" && suite != s.suite {
			continue
		}
		classes, err := store.Classes(ctx, suite)
		if err != nil {
			return nil, err
		}
		for _, class := range classes {
			all = append(all, storedAt{store, suite, class, shown + "/" + suite + "/" + class})
		}
	}
	switch {
	case len(all) > 0:
		return all, nil
	case s.suite != "":
		return nil, fmt.Errorf("%s holds no baseline of suite %s; record one with `perfgate baseline record`, or name the place with --baseline", shown, s.suite)
	}
	return nil, fmt.Errorf("%s holds no baseline; record one with `perfgate baseline record`, or name the place with --baseline", shown)
}

// runBaselineShow lists the baselines.
func runBaselineShow(ctx context.Context, env *Env, args []string) int {
	s := env.newStores("show", "baseline show [flags]", "Lists the stored baselines.")
	if code, ok := env.parse(s.fs, args, 0); !ok {
		return code
	}
	return s.each(ctx, func(at storedAt) error {
		b, err := at.store.Load(ctx, at.suite, at.class)
		if err != nil {
			return err
		}
		m := b.Manifest
		metrics := 0
		for _, s := range b.Exact {
			metrics += len(s.Values)
		}
		fmt.Fprintf(env.Stdout, "%s\n  commit     %s, recording %d\n  measured   by %s with %s\n  holds      %d benchmarks, %d exact metrics, %d samples, %d ratios\n",
			at.shown, m.Commit, m.Record, m.Tool, m.Toolchain, len(b.Plan), metrics, len(b.Samples), len(b.Ledger))
		if m.Anchor != nil {
			fmt.Fprintf(env.Stdout, "  anchor     %s (%.7s)\n", m.Anchor.Ref, m.Anchor.Commit)
		}
		if n := len(m.Pruned); n > 0 {
			fmt.Fprintf(env.Stdout, "  pruned     what came before recording %d\n", m.Pruned[n-1].Before)
		}
		return nil
	})
}

// runBaselineVerify checks every hash and chain, and in a repository that the
// measured commits belong to its history.
func runBaselineVerify(ctx context.Context, env *Env, args []string) int {
	s := env.newStores("verify", "baseline verify [flags]", "Checks the stored baselines: hashes, schema, the chain of records, and by git that the\nmeasured commit is an ancestor of HEAD.")
	if code, ok := env.parse(s.fs, args, 0); !ok {
		return code
	}
	r, err := repo.Open(ctx, env.Dir)
	if err != nil {
		r = nil // outside a repository nothing is known of its history
	}
	strangers := 0
	code := s.each(ctx, func(at storedAt) error {
		b, err := at.store.Verify(ctx, at.suite, at.class)
		if err != nil {
			return fmt.Errorf("%w; restore it", err)
		}
		fmt.Fprintf(env.Stdout, "%s: sound, recording %d of %s\n", at.shown, b.Manifest.Record, b.Manifest.Commit)
		if r != nil && !r.IsAncestor(ctx, b.Manifest.Commit, "HEAD") {
			strangers++
			fmt.Fprintf(env.Stderr, "perfgate: baseline verify: %s: %.7s is no ancestor of HEAD that this clone knows; `git fetch --unshallow` brings a shallow clone's history\n", at.shown, b.Manifest.Commit)
		}
		return nil
	})
	if code == verdict.ExitPass && strangers > 0 {
		return verdict.ExitNotMeasured
	}
	return code
}

// runBaselineAnchor chooses the release that drift is counted from.
func runBaselineAnchor(ctx context.Context, env *Env, args []string) int {
	s := env.newStores("anchor", "baseline anchor [flags] REF", "Makes the commit REF, such as a release's tag, the one that `perfgate trend` counts drift from.")
	if code, ok := env.parse(s.fs, args, 1); !ok {
		return code
	}
	r, err := repo.Open(ctx, env.Dir)
	if err != nil {
		return env.fail(verdict.ExitUsage, fmt.Errorf("baseline anchor: %w", err))
	}
	anchor := baseline.Anchor{Ref: s.fs.Arg(0)}
	if anchor.Commit, err = r.Resolve(ctx, anchor.Ref); err != nil {
		return env.fail(verdict.ExitUsage, fmt.Errorf("baseline anchor: %w", err))
	}
	return s.each(ctx, func(at storedAt) error {
		b, err := baseline.SetAnchor(ctx, at.store, at.suite, at.class, anchor)
		if err != nil {
			return err
		}
		fmt.Fprintf(env.Stdout, "%s: drift is counted from %s (%.7s), recording %d\n", at.shown, anchor.Ref, anchor.Commit, b.Manifest.Record)
		for _, e := range b.Ledger {
			if e.Base == anchor.Commit || e.Head == anchor.Commit {
				return nil
			}
		}
		fmt.Fprintf(env.Stderr, "perfgate: baseline anchor: %s: the ledger does not know %.7s yet: record a bundle with it on one side\n", at.shown, anchor.Commit)
		return nil
	})
}

// runBaselinePrune drops old records.
func runBaselinePrune(ctx context.Context, env *Env, args []string) int {
	s := env.newStores("prune", "baseline prune --keep N [flags]", "Drops all but the newest N records of each baseline, with their lines of the ledger. What\nthe drift from the anchor is added up from stays.")
	keep := s.fs.Int("keep", 0, "keep the newest `N` records (required)")
	dry := s.fs.Bool("dry-run", false, "only say what would be dropped")
	if code, ok := env.parse(s.fs, args, 0); !ok {
		return code
	}
	if *keep < 1 {
		return env.fail(verdict.ExitUsage, errors.New("baseline prune: say how many records stay: --keep N, at least 1"))
	}
	verb := "dropped"
	if *dry {
		verb = "would drop"
	}
	return s.each(ctx, func(at storedAt) error {
		p, err := baseline.Prune(ctx, at.store, at.suite, at.class, *keep, *dry)
		switch {
		case err != nil:
			return err
		case p == nil:
			fmt.Fprintf(env.Stdout, "%s: nothing to drop\n", at.shown)
		default:
			fmt.Fprintf(env.Stdout, "%s: %s what came before recording %d: %s of the ledger (sha256 %s)\n",
				at.shown, verb, p.Before, count(p.Lines, "line"), p.Dropped.SHA256)
		}
		return nil
	})
}

// count is "1 line" or "2 lines".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %s", n, strings.TrimSuffix(noun, "s")+"s")
}
