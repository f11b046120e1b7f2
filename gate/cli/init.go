package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/perfgate/perfgate/gate/actions"
	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/measure"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/repo"
	"github.com/perfgate/perfgate/gate/verdict"
)

// initFlags are the flags of init.
type initFlags struct {
	workflows
	dir     string
	action  string // "OWNER/perfgate"
	ref     string // its commit
	version string // of that commit, for readers
	force   bool
}

// runInit writes workflows and a first policy into a repository.
func runInit(ctx context.Context, env *Env, args []string) int {
	var f initFlags
	fs := flag.NewFlagSet("init", flag.ContinueOnError)
	fs.StringVar(&f.dir, "dir", ".", "the Go module to check is in `DIR`")
	fs.StringVar(&f.action, "action", "perfgate/perfgate", "use the action of the repository `OWNER/NAME`")
	fs.StringVar(&f.ref, "ref", "", "pin the action to this `COMMIT`, 40 hexadecimal digits (default: the one that this program was built from)")
	fs.StringVar(&f.version, "release", "", "note `VERSION` beside the pinned commit, such as v1.2.3")
	fs.IntVar(&f.Shards, "shards", 1, "measure each pull request on `N` machines, each a part of the suite")
	fs.StringVar(&f.Suite, "suite", "", "measure this `SUITE` of perfgate.yml (default: smoke, or the only one)")
	fs.IntVar(&f.Minutes, "timeout-minutes", 45, "end a measuring job after `N` minutes")
	fs.StringVar(&f.Branch, "branch", "", "changes are merged into branch `NAME` (default: what the clone says of its origin)")
	fs.StringVar(&f.Strategy, "strategy", byCommit, "store baselines by `WAY`: commit (to the branch), branch (one of their own), or pull-request")
	fs.BoolVar(&f.force, "force", false, "write over workflows that are there already")
	fs.Usage = env.usageOf(fs, "init [flags]", "Writes three workflows and, where there is none, a perfgate.yml into the repository around a Go\nmodule, so that GitHub measures every pull request. It changes nothing on GitHub.")
	if code, ok := env.parse(fs, args, 0); !ok {
		return code
	}
	if err := env.initialize(ctx, &f); err != nil {
		return env.fail(verdict.ExitUsage, fmt.Errorf("init: %w", err))
	}
	return verdict.ExitPass
}

func (e *Env) initialize(ctx context.Context, f *initFlags) error {
	root, err := measure.ModuleRoot(ctx, e.path(f.dir))
	if err != nil {
		return err
	}
	r, err := repo.Open(ctx, root)
	if err != nil {
		return err
	}
	f.Module = filepath.ToSlash(r.Module)
	if f.Branch == "" {
		f.Branch = r.MainBranch(ctx)
	}
	if err := f.complete(); err != nil {
		return err
	}
	files, err := f.render()
	if err != nil {
		return err
	}
	written, kept, err := writeNew(r.Top, files, path.Join(f.Module, configFile), f.force)
	if err != nil {
		return err
	}
	for _, name := range written {
		fmt.Fprintf(e.Stdout, "wrote %s\n", name)
	}
	for _, name := range kept {
		fmt.Fprintf(e.Stdout, "kept  %s, which is yours; its baseline is to be %s\n", name, f.Place)
	}
	fmt.Fprint(e.Stdout, f.next())
	return nil
}

// plainName is what a branch or folder may be called to stand in a workflow
// without a second meaning to YAML, a pattern of GitHub's, or a shell.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./-]*$`)

var (
	actionName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9_.-]+$`)
	releaseName = regexp.MustCompile(`^[A-Za-z0-9_.+-]{1,50}$`)
)

// complete checks the flags, and fills in what follows from them.
func (f *initFlags) complete() error {
	if f.ref == "" {
		f.ref, f.version = builtFrom()
	}
	switch {
	case f.ref == "":
		return errors.New("this program does not know which commit it was built from: give the commit of a release with --ref COMMIT")
	case len(f.ref) != 40 || !actions.IsCommit(f.ref):
		return fmt.Errorf("--ref %q: give the whole commit, 40 hexadecimal digits: a tag or branch can be moved by whoever owns it", f.ref)
	case f.version != "" && !releaseName.MatchString(f.version):
		return fmt.Errorf("--release %q: give a version, such as v1.2.3", f.version)
	case !actionName.MatchString(f.action):
		return fmt.Errorf("--action %q: give OWNER/NAME", f.action)
	case f.Shards < 1 || f.Shards > recording.ShardsMax:
		return fmt.Errorf("--shards %d: give a number from 1 to %d", f.Shards, recording.ShardsMax)
	case f.Minutes < 1 || f.Minutes > 360:
		return fmt.Errorf("--timeout-minutes %d: give a number from 1 to 360, after which GitHub ends any job", f.Minutes)
	case f.Branch == "":
		return errors.New("nothing says which branch changes are merged into: give it with --branch NAME")
	case !plainName.MatchString(f.Branch) || !plainName.MatchString(f.Module) && f.Module != ".":
		return fmt.Errorf("branch %q or folder %q: a name in a workflow may have letters, digits and ._/- only", f.Branch, f.Module)
	case f.Suite != "" && !plainName.MatchString(f.Suite):
		return fmt.Errorf("--suite %q: give the name of a suite of perfgate.yml", f.Suite)
	}
	f.Use = f.action + "@" + f.ref
	if f.version != "" {
		f.Use += " # " + f.version
	}
	return f.place()
}

// place is where the baselines of a strategy are.
func (f *initFlags) place() error {
	switch f.Strategy {
	case byCommit, byPullRequest:
		f.Place = defaultBaselines
	case byBranch:
		f.Place = "branch:" + config.DefaultBranch
	default:
		return fmt.Errorf("--strategy %q: give %s, %s or %s", f.Strategy, byCommit, byBranch, byPullRequest)
	}
	return nil
}

// builtFrom is the commit that this program was built from, and its version, as
// far as the go command recorded them. Changes that were not committed are in no
// commit.
func builtFrom() (commit, version string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", ""
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if settings["vcs.modified"] == "true" {
		return "", ""
	}
	if version = info.Main.Version; version == "(devel)" || !releaseName.MatchString(version) {
		version = ""
	}
	return settings["vcs.revision"], version
}

// writeNew writes files below dir. Without force it writes none where one that it
// would write is there already; keep is never written over, since it is not ours.
func writeNew(dir string, files map[string]string, keep string, force bool) (written, kept []string, err error) {
	var there []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		_, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(name)))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			written = append(written, name)
		case err != nil:
			return nil, nil, err
		case name == keep:
			kept = append(kept, name)
		case force:
			written = append(written, name)
		default:
			there = append(there, name)
		}
	}
	if len(there) > 0 {
		return nil, nil, fmt.Errorf("%s: there already, so nothing was written; --force writes over workflows", strings.Join(there, ", "))
	}
	for _, name := range written {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return nil, nil, err
		}
		if err := os.WriteFile(file, []byte(files[name]), 0o644); err != nil {
			return nil, nil, err
		}
	}
	return written, kept, nil
}

// next explains what the workflows ask for, and what is left to do.
func (f *initFlags) next() string {
	record := "contents: write, to store baselines in " + f.Place
	settings := ""
	if f.Strategy != byBranch {
		record += ";\n                        pull-requests: write, to propose them where the branch is protected"
		settings = "   Settings > Actions > General: allow GitHub Actions to create pull requests, for baselines\n   that cannot be committed to a protected branch.\n"
	}
	return fmt.Sprintf(`
What each workflow may do:
  perfgate              contents: read. It runs the code of pull requests, and holds no secret.
  perfgate-comment      actions: read and contents: read, to read results and policy; pull-requests: write,
                        to comment; statuses: write, for the check. It runs nothing of a pull request.
  perfgate-baseline     measuring: contents: read. Recording, in a job of its own:
                        %s.

What to do next:
1. Look at the files, and commit them to %s: policy and the commenting workflow count from there.
2. Open a pull request that changes some Go code, and wait for its comment.
3. Settings > Branches (or Rules): require the status check `+"`perfgate`"+` for %s. It is there to choose once
   it was set for the first time. Do not require the jobs of the workflow: a fork can edit those.
%sMore: %s
`, record, f.Branch, f.Branch, settings, f.Docs())
}
