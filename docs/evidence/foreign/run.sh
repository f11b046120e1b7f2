#!/usr/bin/env bash
# Measures two released versions of other people's modules with perfgate, and
# with `go test -bench -count=10` and benchstat, on the same machine one after the
# other. Nothing in the modules is edited.
#
# usage: run.sh OUTDIR [NAME...]     (NAME: text, compress, gjson; all by default)
#
# It needs git, go, the module proxy, and a built perfgate: PERFGATE=/path/to/it.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
perfgate=${PERFGATE:-perfgate}
out=$(mkdir -p "$1" && cd "$1" && pwd)
shift
benchstat=$(mktemp -d)/benchstat
(cd "$root" && go build -modfile=tools/go.mod -o "$benchstat" golang.org/x/perf/cmd/benchstat)
names=("$@")
[ $# -gt 0 ] || names=(text compress gjson)

# name, module, old version, new version, -bench pattern, packages
plan() {
	case $1 in
	text) echo golang.org/x/text v0.14.0 v0.43.0 'Normalize|Remove|MapAll|Fold' ./unicode/norm ./runes ./width ;;
	compress) echo github.com/klauspost/compress v1.17.6 v1.17.11 'Compress1XReuseNone/^[dgt]|Decompress1XTable/^[dgt]' ./huff0 ;;
	gjson) echo github.com/tidwall/gjson v1.18.0 v1.20.1 . . ;;
	*) echo "run.sh: no module is called $1" >&2; exit 2 ;;
	esac
}

# commit puts one version of a module into the repository as a commit with a tag.
commit() {
	local dir
	dir=$(go mod download -json "$1@$2" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')
	find . -mindepth 1 -maxdepth 1 ! -name .git -exec rm -rf {} +
	cp -r "$dir"/. . && chmod -R u+w .
	git add -A -f && git -c user.name=evidence -c user.email=evidence@localhost commit -q -m "$1 $2" && git tag "$3"
}

for name in "${names[@]}"; do
	read -r module old new bench packages < <(plan "$name")
	work=$(mktemp -d)
	cd "$work" && git init -q -b main .
	commit "$module" "$old" old
	commit "$module" "$new" new

	pkgs=()
	for p in $packages; do pkgs+=(--pkg "$p"); done
	code=0
	"$perfgate" check --base old --head new --bench "$bench" "${pkgs[@]}" --budget 10m --all \
		--out "$out/$name.bundle" >"$out/$name.perfgate.txt" 2>"$out/$name.log" || code=$?
	echo "exit code $code" >>"$out/$name.perfgate.txt"

	for side in old new; do
		git checkout -q "$side"
		# shellcheck disable=SC2086 # a list of packages
		go test -run '^$' -bench "$bench" -count=10 $packages >"$out/$name.$side.txt"
	done
	(cd "$out" && "$benchstat" "$name.old.txt" "$name.new.txt") >"$out/$name.benchstat.txt"
	sed -i "s|$out/||g" "$out/$name.perfgate.txt" # the same wherever it is run
	rm -rf "$work"
done
rm -rf "$(dirname "$benchstat")"
