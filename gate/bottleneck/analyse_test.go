package bottleneck

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/pprof/profile"

	"github.com/perfgate/perfgate/gate/recording"
)

var shop = Scope{Module: "example.org/shop", Load: []string{"example.org/shop/bench"}}

// stack is a sample: its functions, the leaf first, with its count and value. A
// function may be "NAME FILE".
type stack struct {
	functions string
	count     int64
	value     int64
	label     string
}

// newProfile makes a profile of a kind.
func newProfile(stacks ...stack) *profile.Profile {
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "n", Unit: "count"}, {Type: "v", Unit: "units"}}}
	known := map[string]*profile.Location{}
	for _, s := range stacks {
		sample := &profile.Sample{Value: []int64{s.count, s.value}}
		if s.label != "" {
			sample.Label = map[string][]string{"module": {s.label}}
		}
		for name := range strings.SplitSeq(s.functions, " < ") {
			if known[name] == nil {
				symbol, file, _ := strings.Cut(name, " ")
				id := uint64(len(known) + 1)
				f := &profile.Function{ID: id, Name: symbol, Filename: file}
				known[name] = &profile.Location{ID: id, Line: []profile.Line{{Function: f}}}
				p.Function, p.Location = append(p.Function, f), append(p.Location, known[name])
			}
			sample.Location = append(sample.Location, known[name])
		}
		p.Sample = append(p.Sample, sample)
	}
	return p
}

// Where stacks belong: the leaf stands to the left.
func TestStacksAreFiledOnce(t *testing.T) {
	const cart, top = "example.org/shop/cart.(*Cart).Add", "example.org/shop/order.Place"
	for _, c := range []struct{ functions, want, caller string }{
		{cart, "own-code@cart", ""},
		{"encoding/binary.littleEndian.Uint64 < " + cart, "own-code@cart", ""},
		{"runtime.asyncPreempt < " + cart + " < " + top, "own-code@cart", "example.org/shop/order"},
		{"runtime.mallocgc < runtime.growslice < " + cart, "allocation@cart", ""},
		{"runtime.memmove < runtime.growslice < " + cart, "allocation@cart", ""},
		{"runtime.memmove < " + cart, "copy@cart", ""},
		{"runtime.mallocgc < internal/runtime/maps.(*Map).grow < runtime.mapassign_fast64 < " + cart, "map@cart", ""},
		{"runtime.gcAssistAlloc < runtime.mallocgc < " + cart, "gc@cart", ""},
		{"runtime.scanobject < runtime.gcDrain < runtime.gcBgMarkWorker", "gc@runtime", ""},
		{"crypto/internal/fips140/sha256.blockSHANI < crypto/sha256.Sum256 < " + cart, "hash@cart", ""},
		{"crypto/internal/fips140/sha512.blockAVX2 < crypto/ed25519.Verify < " + cart, "verify@cart", ""},
		{"filippo.io/edwards25519.(*Point).Add < github.com/hdevalence/ed25519consensus.Verify < " + cart, "verify@cart", ""},
		{"filippo.io/edwards25519.(*Point).Add < github.com/hdevalence/ed25519consensus.(*BatchVerifier).Verify < " + cart, "verify-batch@cart", ""},
		{"crypto/internal/fips140/sha512.blockAVX2 < crypto/ed25519.sign < " + cart, "sign@cart", ""},
		{"reflect.Value.Field < fmt.Sprintf < " + cart, "format@cart", ""},
		{"runtime.mallocgc < encoding/json.Marshal < " + cart, "serialise@cart", ""},
		{"runtime.futexwakeup < runtime.goready < runtime.chansend1 < " + cart, "channel@cart", ""},
		{"runtime.procyield < runtime.lock2 < sync.(*Mutex).Lock < " + cart, "lock@cart", ""},
		{"time.now < time.Now < " + cart, "timer@cart", ""},
		{"runtime.newproc1 < runtime.newproc < " + cart, "goroutine@cart", ""},
		{"syscall.Syscall < syscall.fdatasync < os.(*File).Sync < github.com/dep/wal.Write < " + cart, "fsync@cart", ""},
		{"syscall.Syscall < syscall.Fdatasync < github.com/dep/wal.Write < " + cart, "fsync@cart", ""},
		{"syscall.write < internal/poll.(*FD).Write < net.(*conn).Write < " + cart, "small-writes@cart", ""},
		{"slices.insertionSortOrdered[...] < slices.Sort < " + cart, "sort@cart", ""},
		{"bufio.(*Reader).Peek < " + cart, "library@cart", ""},
		{"syscall.write < internal/poll.(*FD).Write < google.golang.org/grpc/internal/transport.(*loopyWriter).run", "small-writes@google.golang.org/grpc", ""},
		{"syscall.Syscall6 < golang.org/x/sys/unix.Fallocate < github.com/cockroachdb/pebble/v2/vfs.Open", "syscall@github.com/cockroachdb/pebble/v2", ""},
		{"runtime.futex < runtime.findRunnable < runtime.schedule < runtime.mcall", "scheduler@runtime", ""},
		{"runtime.mallocgc < example.org/shop/bench.submit < testing.(*B).runN", "allocation@load", ""},
		{cart + "Test example.org/shop/cart/cart_test.go < testing.(*B).runN", "own-code@load", ""},
		{cart + " < example.org/shop/bench.submit < testing.(*B).runN", "own-code@cart", ""},
		{"example.org/shopping.Do", "own-code@example.org/shopping", ""},
	} {
		v, err := newView(shop, recording.CPUProfile, []Profile{{Kind: recording.CPUProfile, N: 1, Profile: newProfile(stack{c.functions, 1, 1, ""})}})
		if err != nil {
			t.Fatal(err)
		}
		if got := v.places[0]; got.id(shop) != c.want || got.caller != c.caller {
			t.Errorf("%s is filed under %s for %q, want %s for %q", c.functions, got.id(shop), got.caller, c.want, c.caller)
		}
	}
}

func TestTheCatalogueIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range append(slices.Clone(Catalogue), Waiting...) {
		if c.ID == "" || c.Title == "" || c.Signs == "" || c.Remedy == "" || c.Expect == "" || seen[c.ID] {
			t.Errorf("the entry %+v lacks something, or is there twice", c)
		}
		seen[c.ID] = true
	}
}

// two are two replicates of a benchmark with an operation in each.
//
//	              CPU samples: first, second     bytes an operation
//	hash in cart              30, 50
//	malloc in cart            10, 10             300
//	malloc in order           10, 10             100
//	collector                 20, 20
//	own code of order         30, 10
//
// Of the collector's 20 three quarters are cart's: 10 + 15 = 25 of 100.
func two() Measured {
	cpu := func(hash, own int64) *profile.Profile {
		ms := int64(1e6)
		return newProfile(
			stack{"crypto/sha256.Sum256 < example.org/shop/cart.Add", hash, hash * ms, "a"},
			stack{"runtime.mallocgc < example.org/shop/cart.Add", 10, 10 * ms, "a"},
			stack{"runtime.mallocgc < example.org/shop/order.Place", 10, 10 * ms, ""},
			stack{"runtime.gcDrain < runtime.gcBgMarkWorker", 20, 20 * ms, ""},
			stack{"example.org/shop/order.Place", own, own * ms, ""},
			stack{"runtime.sigprof", 7, 7 * ms, ""})
	}
	alloc := newProfile(stack{"example.org/shop/cart.Add", 3, 300, ""}, stack{"example.org/shop/order.Place", 1, 100, ""})
	mutex := newProfile(stack{"sync.(*Mutex).Unlock < example.org/shop/cart.Add", 4, 2000, ""})
	block := newProfile(stack{"runtime.chansend1 < example.org/shop/order.Place", 2, 1000, ""}, stack{"runtime.selectgo < example.org/shop/order.Loop", 1, 9000, ""})
	m := Measured{Key: recording.Key{Pkg: "example.org/shop/bench", Name: "BenchmarkOrder/n=4", Procs: 2}}
	for i, c := range []*profile.Profile{cpu(30, 30), cpu(50, 10)} {
		// An operation takes 10 µs and uses 16 µs of the two cores; of 5 and 7 things
		// that wait for the loop each takes 2 µs, twice for each operation.
		reported := []recording.Value{{Unit: "sec/op", Value: 10e-6}, {Unit: "cpu-sec/op", Value: 16e-6},
			{Unit: "loop:busy-sec/op", Value: 4e-6}, {Unit: "loop:visits/op", Value: 2}, {Unit: "loop:queue", Value: float64(5 + 2*i)}}
		for _, p := range []Profile{{Kind: recording.CPUProfile, Profile: c}, {Kind: recording.AllocProfile, Profile: alloc},
			{Kind: recording.MutexProfile, Profile: mutex}, {Kind: recording.BlockProfile, Profile: block}} {
			p.N, p.Reported = 1, reported
			m.Profiles = append(m.Profiles, p)
		}
	}
	return m
}

func ranked(t *testing.T, measured ...Measured) Report {
	t.Helper()
	var all []*Analysis
	for _, m := range measured {
		a, err := Analyse(shop, m)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return Rank(shop, Origin{Module: shop.Module, Command: "perfgate bottlenecks Order"}, all)
}

func TestSharesAmountsAndBounds(t *testing.T) {
	r := ranked(t, two())
	for id, want := range map[string]float64{
		"hash@cart": .40, "allocation@cart": .25, "allocation@order": .15, "own-code@order": .20,
	} {
		e, ok := r.Entry(id)
		if !ok {
			t.Fatalf("%s was not found among %d entries", id, len(r.Entries))
		}
		f := e.Findings[0]
		near(t, id, f.Share.Value, want)
		near(t, "bound of "+id, e.Bound.Value, 1/(1-want))
		near(t, "CPU of "+id, f.CPUNanos.Value, want*16e3)
	}
	e, _ := r.Entry("allocation@cart")
	near(t, "bytes", e.Findings[0].Bytes.Value, 300)
	near(t, "objects", e.Findings[0].Objects.Value, 3)
	near(t, "of the collector", e.Findings[0].OfCollector.Value, .15)
	a := r.Benchmarks[0]
	near(t, "collector", a.Collector.Value, .2)
	// .3 and .5: mean .4, standard error .1, t(1) = 12.706: the interval is cut.
	near(t, "hi", r.Entries[0].Findings[0].Share.Hi, 1)
	sum := 0.0
	for _, row := range a.Packages {
		sum += row.Share.Value
	}
	near(t, "all packages", sum, 1)
	near(t, "label a", a.Labels[0].Share.Value, .5)
}

// 100,000 operations a second of 10 µs. Locks: 2 µs of waiting for each is .2
// waiting on average, 1/.8; cores that are busy to 80 % allow 1/.8 too. A full
// channel: 1 µs, .1, 1/.9. The loop: D = 4 µs, so U = .4, at most 250,000 a second;
// S = 2 µs; Q = 6, R = 6/200,000 s = 30 µs.
func TestQueuesObeyTheOperationalLaws(t *testing.T) {
	r := ranked(t, two())
	a := r.Benchmarks[0]
	near(t, "throughput", a.Throughput.Value, 100000)
	near(t, "cores", a.Utilisation.Value, .8)
	for id, want := range map[string][2]float64{"contention@cart": {.2, 1 / .8}, "full-channel@order": {.1, 1 / .9}} {
		e, ok := r.Entry(id)
		if !ok {
			t.Fatalf("%s was not found", id)
		}
		near(t, id, e.Findings[0].Waiting.Value, want[0])
		near(t, "bound of "+id, e.Bound.Value, want[1])
	}
	if _, ok := r.Entry("idle@order"); ok || len(a.Waits) != 3 || a.Waits[0].ID != "idle@order" || a.Waits[0].Ranked {
		t.Errorf("waiting for work is ranked, or not shown: %+v", a.Waits)
	}
	s := a.Stations[0]
	near(t, "U", s.Utilisation.Value, .4)
	near(t, "S", s.ServiceNanos.Value, 2000)
	near(t, "Q", s.Queue.Value, 6)
	near(t, "R", s.ResidenceNanos.Value, 30000)
	near(t, "most", s.ThroughputMax.Value, 250000)
}

// Half of the CPU time has the label a (see two), of 16 µs an operation: 8 µs, so
// that one server could do 125,000 a second. A queue of 0.1 where U = .4 is no
// average over time.
func TestAStationHasTheCPUTimeOfItsLabel(t *testing.T) {
	m := two()
	for i := range m.Profiles {
		m.Profiles[i].Reported = []recording.Value{{Unit: "sec/op", Value: 10e-6}, {Unit: "cpu-sec/op", Value: 16e-6},
			{Unit: "a:busy-sec/op", Value: 4e-6}, {Unit: "a:visits/op", Value: 1}, {Unit: "a:queue", Value: .1}}
	}
	for i, p := range m.Profiles {
		if p.Kind == recording.CPUProfile {
			m.Profiles[i].Profile = newProfile(stack{"example.org/shop/cart.Add", 500, 1, "a"}, stack{"example.org/shop/order.Place", 500, 1, ""})
		}
	}
	s := ranked(t, m).Benchmarks[0].Stations[0]
	near(t, "CPU", s.CPUNanos.Value, 8000)
	near(t, "most", s.ThroughputMaxCPU.Value, 125000)
	if s.ResidenceNanos != nil {
		t.Errorf("a residence time of %+v", *s.ResidenceNanos)
	}
}

// The function that releases the lock for which others wait also writes.
func TestALockHeldAcrossIOIsCalledThat(t *testing.T) {
	m := two()
	for i := range m.Profiles {
		if m.Profiles[i].Kind == recording.CPUProfile {
			m.Profiles[i].Profile = newProfile(stack{"syscall.write < net.(*conn).Write < example.org/shop/order.send < example.org/shop/cart.Add", 9, 9, ""})
		}
	}
	r := ranked(t, m)
	if _, ok := r.Entry("lock-io@cart"); !ok {
		t.Error("it is not found")
	}
}

func TestOverBenchmarksTheMeanOfBoundsRanks(t *testing.T) {
	other := two()
	other.Key.Name = "BenchmarkOther"
	for i, p := range other.Profiles {
		if p.Kind == recording.CPUProfile {
			other.Profiles[i].Profile = newProfile(stack{"example.org/shop/order.Place", 9, 9, ""}, stack{"crypto/sha256.Sum256 < example.org/shop/cart.Add", 1, 1, ""})
		}
	}
	r := ranked(t, two(), other)
	e, _ := r.Entry("hash@cart")
	// sqrt(1/.6 x 1/.9)
	near(t, "hash@cart", e.Bound.Value, 1.3608)
	if len(e.Findings) != 2 || e.Findings[0].Benchmark != "bench.Order/n=4-2" {
		t.Errorf("findings %+v", e.Findings)
	}
	if len(r.Warnings) != 2 {
		t.Errorf("two replicates are taken without a warning: %q", r.Warnings)
	}
}

func TestOneProfileGivesNoInterval(t *testing.T) {
	m := two()
	m.Profiles = m.Profiles[:4]
	if _, err := Analyse(shop, m); !errors.Is(err, ErrFew) {
		t.Errorf("error %v, want ErrFew", err)
	}
}

func TestTheOrderOfProfilesAndSamplesDoesNotMatter(t *testing.T) {
	m, turned := two(), two()
	slices.Reverse(turned.Profiles)
	for _, p := range turned.Profiles {
		slices.Reverse(p.Profile.Sample)
	}
	a, b := ranked(t, m), ranked(t, turned)
	if a, b := a.Text(Options{All: true}), b.Text(Options{All: true}); a != b {
		t.Errorf("the reports differ:\n%s\n%s", a, b)
	}
}

func TestNamesFromProfilesCannotBreakTheReport(t *testing.T) {
	m := two()
	for i, p := range m.Profiles {
		if p.Kind == recording.CPUProfile {
			m.Profiles[i].Profile = newProfile(stack{"example.org/shop/a|b`\x1b[31m<b>.F", 9, 9, "x\ny"})
		}
	}
	r := ranked(t, m)
	if text := r.Text(Options{All: true}); strings.Contains(text, "\x1b") || strings.Contains(text, "x\ny") {
		t.Errorf("a control character is printed: %q", text)
	}
	for line := range strings.Lines(r.Markdown()) {
		if strings.HasPrefix(line, "| 1 |") && strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != 7 {
			t.Errorf("a name adds a cell: %s", line)
		}
	}
	for _, e := range r.Entries {
		if strings.ContainsAny(e.Evidence, "\x1b\n") {
			t.Errorf("a command with control characters: %q", e.Evidence)
		}
	}
}

func ExampleRank() {
	m := Measured{Key: recording.Key{Pkg: "example.org/shop/cart", Name: "BenchmarkAdd", Procs: 1}}
	for range 8 {
		p := newProfile(stack{"crypto/sha256.Sum256 < example.org/shop/cart.Add", 50, 50e6, ""}, stack{"example.org/shop/cart.Add", 50, 50e6, ""})
		m.Profiles = append(m.Profiles, Profile{Kind: recording.CPUProfile, N: 1000, Profile: p})
	}
	scope := Scope{Module: "example.org/shop"}
	a, err := Analyse(scope, m)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range Rank(scope, Origin{}, []*Analysis{a}).Entries {
		fmt.Println(e.Rank, e.ID, times(e.Bound))
	}
	// Half of 800 samples: the standard error is sqrt(.25/800) = .0177, times 2.365 is
	// .0418: from 1/(1-.4582) to 1/(1-.5418).

	// Output:
	// 1 hash@cart ×2.00 (1.85–2.18)
	// 2 own-code@cart ×2.00 (1.85–2.18)
}
