package cli

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/report"
	"github.com/perfgate/perfgate/gate/verdict"
)

// showReport writes the report of a bundle to standard output. Every command
// that shows a bundle goes through here, so that a replay prints what the run
// printed. path may name a bundle that could not be stored.
func (e *Env) showReport(b recording.Bundle, v verdict.Verdict, path, format string, all bool) error {
	hash, err := recording.Hash(path)
	if err != nil {
		hash = ""
	}
	in := report.Input{
		Manifest: b.Manifest, Verdict: v, Findings: findings(&b, v), Path: e.relative(path), Hash: hash,
		Options: report.Options{All: all, Color: e.Color, Width: e.Width},
	}
	switch format {
	case "json":
		err = report.JSON(e.Stdout, in)
	case "markdown":
		err = report.Markdown(e.Stdout, in)
	default:
		err = report.Terminal(e.Stdout, in)
	}
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if format != "text" {
		fmt.Fprintln(e.Stderr, "perfgate: "+in.LastLine())
	}
	e.verdictShown = true
	return nil
}

// relative is path as a person would type it from the working folder.
func (e *Env) relative(path string) string {
	if rel, err := filepath.Rel(e.Dir, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}

func checkFormat(format string) error {
	switch format {
	case "text", "json", "markdown":
		return nil
	}
	return fmt.Errorf("--format %q: text, json and markdown are known", format)
}
