# One command checks everything that CI checks: `make check`.
# The tools are pinned in tools/go.mod and run through the go command, so that
# nothing has to be installed.

TOOL  = go tool -modfile=tools/go.mod
SEEDS ?= 1000

.PHONY: check fmt vet staticcheck actionlint test sim bench-smoke golden

check: fmt vet staticcheck actionlint test

fmt:
	@out="$$(gofmt -l .)"; if [ -n "$$out" ]; then \
		echo "not gofmt-ed (run gofmt -w on them):" >&2; echo "$$out" >&2; exit 1; fi

vet:
	go vet ./...

staticcheck:
	$(TOOL) staticcheck ./...

# Outside a repository with workflows there is nothing to lint.
actionlint:
	@if ls .github/workflows/*.y*ml >/dev/null 2>&1; then $(TOOL) actionlint; fi

# The end-to-end tests measure and build as a workflow does, which on a busy
# machine takes longer than the ten minutes that a package gets by itself.
test:
	go test -timeout 30m ./...

# sim runs the seeded simulations of a whole cluster over SEEDS seeds; a failure
# prints the one command that replays it.
sim:
	go test -count=1 -v -timeout 2h ./trantor/simtest -run '^TestSweep$$' -seeds=$(SEEDS)

# bench-smoke runs every benchmark of the suite once: it shows that they work,
# not how fast they are.
bench-smoke:
	go test -run '^$$' -bench . -benchtime 1x ./benchsuite/...

# golden rewrites every golden file; commit a golden diff only when you can
# explain it.
golden:
	go test -count=1 $$(grep -rl internal/golden --include='*_test.go' . | xargs -n1 dirname | sort -u) -update
