package config

import (
	"strings"
	"testing"
)

func TestOnlyPlainNamesAreBranches(t *testing.T) {
	for _, name := range []string{"perfgate-baselines", "perf/baselines", "v1.2", "_x"} {
		if got, isBranch, err := Branch("branch:" + name); got != name || !isBranch || err != nil {
			t.Errorf("%q: %q, %v, %v", name, got, isBranch, err)
		}
	}
	for _, name := range []string{"", "-x", "a..b", "a/../b", ".a", "a/.b", "a.", "a/", "/a", "a//b", "a.lock", "a b", "a\nb", "a:b", "a^", "@{-1}", "$(x)", strings.Repeat("a", 201)} {
		if _, isBranch, err := Branch("branch:" + name); !isBranch || err == nil {
			t.Errorf("%q is taken for a name", name)
		}
	}
	for _, place := range []string{"baselines", "s3://bucket/branch:x", ""} {
		if _, isBranch, err := Branch(place); isBranch || err != nil {
			t.Errorf("%q is taken for a branch: %v", place, err)
		}
	}
}

func TestABranchCanHoldTheBaselines(t *testing.T) {
	cfg, err := Parse([]byte("version: 1\nbaseline: branch:perf/baselines\n"), "perfgate.yml")
	if err != nil || cfg.Baseline != "branch:perf/baselines" {
		t.Errorf("%+v, %v", cfg, err)
	}
}
