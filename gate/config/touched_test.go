package config

import (
	"slices"
	"testing"
)

func TestAChangeOfWhatJudgesItIsNoticed(t *testing.T) {
	dedicated := Config{Baseline: "baselines", Suites: map[string]Suite{
		"smoke": {Packages: []string{"./benchsuite/..."}, Manifest: "benchsuite/manifest.json"}}}
	for _, c := range []struct {
		name   string
		cfg    Config
		module string
		file   string
		want   bool
	}{
		{"the policy", dedicated, ".", "perfgate.yml", true},
		{"another module's policy", dedicated, "tool", "perfgate.yml", false},
		{"the policy of a module in a folder", dedicated, "tool", "tool/perfgate.yml", true},
		{"a stored baseline", dedicated, ".", "baselines/smoke/c0ffee/exact.txt", true},
		{"a link in place of the baselines", dedicated, ".", "baselines", true},
		{"a folder that only begins like the baselines", dedicated, ".", "baselines-old/x", false},
		{"the suite's manifest", dedicated, ".", "benchsuite/manifest.json", true},
		{"what the suite's benchmarks share", dedicated, ".", "benchsuite/workload/load.go", true},
		{"a test outside the suite", dedicated, ".", "trantor/mempool/mempool_test.go", false},
		{"the code under test", dedicated, ".", "trantor/mempool/mempool.go", false},
		{"baselines that are no folder", Config{Baseline: "s3://bucket/baselines"}, ".", "s3:/bucket/baselines", false},
		{"without suites: any test", Config{}, ".", "cart/cart_test.go", true},
		{"without suites: no code", Config{}, ".", "cart/cart.go", false},
		{"one package's tests", Config{Suites: map[string]Suite{"s": {Packages: []string{"./cart"}}}}, ".", "cart/cart_test.go", true},
		{"tests below one package", Config{Suites: map[string]Suite{"s": {Packages: []string{"./cart"}}}}, ".", "cart/item/item_test.go", false},
		{"a manifest at the root", Config{Suites: map[string]Suite{"s": {Packages: []string{"./..."}, Manifest: "manifest.json"}}}, ".", "manifest.json", true},
		{"code beside a manifest at the root", Config{Suites: map[string]Suite{"s": {Packages: []string{"./..."}, Manifest: "manifest.json"}}}, ".", "main.go", false},
	} {
		got := c.cfg.JudgedBy([]string{"README.md", c.file}, c.module, "perfgate.yml")
		if want := []string{c.file}; c.want && !slices.Equal(got, want) || !c.want && len(got) > 0 {
			t.Errorf("%s: of %s are noticed %q", c.name, c.file, got)
		}
	}
	if got := dedicated.JudgedBy([]string{"perfgate.yml", "ci/perf.yml"}, ".", "./ci/perf.yml"); !slices.Equal(got, []string{"ci/perf.yml"}) {
		t.Errorf("with a policy elsewhere are noticed %q", got)
	}
}
