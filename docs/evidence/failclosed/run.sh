#!/usr/bin/env bash
# Breaks a measurement in sixteen ways that a pull request, a crash or a bad disk
# can, and shows what perfgate says: exit code and the line that tells why.
# 0 and 1 are verdicts on speed, 2 is bad input, 3 is "could not measure".
#
# usage: run.sh      (it needs git, go and perfgate on the PATH; about a minute)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GIT_AUTHOR_NAME=demo GIT_AUTHOR_EMAIL=demo@example.org GIT_COMMITTER_NAME=demo GIT_COMMITTER_EMAIL=demo@example.org
failures=0

# module makes a fresh copy of the module under test and goes there.
module() {
	cd "$work" && rm -rf m && mkdir m && cd m
	cat >go.mod <<-'EOF'
		module example.org/shop

		go 1.24
	EOF
	cat >perfgate.yml <<-'EOF'
		version: 1
		waivers: allow
	EOF
	cat >sum.go <<-'EOF'
		package shop

		func Sum(n int) int {
			total := 0
			for i := range n {
				total += i ^ total<<1
			}
			return total
		}
	EOF
	cat >sum_test.go <<-'EOF'
		package shop

		import "testing"

		func BenchmarkSum(b *testing.B) {
			for b.Loop() {
				Sum(1000)
			}
		}
	EOF
	cat >more_test.go <<-'EOF'
		package shop

		import "testing"

		func BenchmarkMore(b *testing.B) {
			for b.Loop() {
				Sum(2000)
			}
		}
	EOF
	git init -q -b main && git add -A && git commit -q -m base
}

# try WHAT WANT PATTERN COMMAND... runs a command and prints its exit code with the
# first line that matches; another code, or no such line, is a failure.
try() {
	local what=$1 want=$2 pattern=$3 got=0 line
	shift 3
	"$@" >"$work/out" 2>&1 || got=$?
	# Progress lines tell nothing; what differs from call to call is left out.
	line=$(grep -v '^perfgate: .* s: ' "$work/out" | grep -E -m1 "$pattern" |
		sed -E "s/^ *//; s/^[0-9a-f]{7}: //; s|$work/||g; s/^perfgate: //" | cut -c1-90) || true
	printf '%-30s exit %d  %s\n' "$what" "$got" "$line"
	if [ "$got" != "$want" ] || [ -z "$line" ]; then
		failures=$((failures + 1))
		echo "  wanted exit $want; the output was:" && sed 's/^/  | /' "$work/out"
	fi
}

gate() { perfgate local --profile never "$@"; }
slower() { sed -i 's/range n /range 2*n /' sum.go; }

module
echo '// nothing but a comment' >>sum.go
try 'nothing changed' 0 '^verdict' gate
module && slower
try 'twice the work' 1 '^verdict' gate --bench Sum

module && sed -i 's/total := 0/total := 0; if n > 0 { panic("broken") }/' sum.go
try 'it panics' 3 'panic: broken' gate --bench Sum
module && sed -i 's/total := 0/total := 0; for n > 0 {}/' sum.go
try 'it hangs' 3 'no end within' gate --bench Sum --timeout 3s
module && rm more_test.go && echo '// x' >>sum.go
try 'a benchmark is gone' 3 'More.*head|missing' gate
module && sed -i s/BenchmarkMore/BenchmarkOther/ more_test.go
try 'a benchmark has another name' 3 'More.*head|missing' gate --bench 'More|Other'
module && slower && sed -i s/2000/1/ more_test.go
try 'a benchmark was made easier' 3 'redefined' gate --bench More
module && sed -i 's|total := 0|total := 0; os.Stdout.WriteString("BenchmarkSum 1 1 ns/op extra\\n")|; s/^package shop/package shop; import "os"/' sum.go
try 'it prints into its results' 3 'must not print|parsing' gate --bench Sum
module && echo 'func broken( {' >>sum.go
try 'it does not compile' 2 'sum.go:[0-9]+' gate
module && slower
try 'no time was left' 3 'budget' gate --bench Sum --budget 1ms
module && slower
try 'a pattern matches nothing' 2 'no benchmark' gate --bench Nothing
module && slower && git commit -q -a -m slower -m 'Perf-Accept: Sum cpu-sec/op <=90% until=2020-01-01 — it expired'
try 'a waiver that has expired' 1 'expired' perfgate check --profile never --base main~1 --head main --bench Sum
module && slower && git commit -q -a -m slower -m 'Perf-Accept: * cpu-sec/op <=99% until=2099-01-01 — everything for ever'
try 'a waiver for everything' 1 'refused' perfgate check --profile never --base main~1 --head main --bench Sum

module && slower
perfgate local --profile never --out "$work/good" --bench Sum >/dev/null 2>&1 || true
damaged() { rm -rf "$work/bad" && cp -r "$work/good" "$work/bad"; }
try 'a recorded run, as it was' 1 '^verdict' perfgate replay "$work/good"
damaged && echo >>"$work/bad/samples/head.txt"
try 'one byte more in it' 2 'samples/head.txt' perfgate replay "$work/bad"
damaged && sed -i '$ d' "$work/bad/samples/base.txt"
try 'a run is cut out of it' 2 'samples/base.txt' perfgate replay "$work/bad"
damaged && truncate -s 100 "$work/bad/manifest.json"
try 'it was cut off' 2 'manifest.json' perfgate replay "$work/bad"
damaged && rm "$work/bad/samples/head.txt"
try 'a file is missing' 2 'samples/head.txt' perfgate replay "$work/bad"
module && slower
perfgate local --profile never --shard 1/2 --out "$work/part" >/dev/null 2>&1 || true
try 'one shard of two' 2 'shard|part' perfgate merge --out "$work/whole" "$work/part"

echo
echo "$failures of these were not as they have to be"
[ "$failures" = 0 ]
