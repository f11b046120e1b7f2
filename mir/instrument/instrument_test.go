package instrument_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/instrument"
)

// hop is an event without content, so that nothing is allocated to carry it.
type hop struct{}

func (hop) EventName() string { return "test.Hop" }

// relay is a node whose module "first" passes every event on to "second".
type relay struct {
	names         mir.Names
	first, second mir.ModuleID
	node          *mir.Node
	seen          []string      // What was applied. It may grow a while without allocating.
	work          func()        // Done by "second"; may be nil.
	arrived       chan struct{} // From "second".
}

func newRelay(t *testing.T, with func(names *mir.Names) mir.Instrument, lanes ...mir.Lane) *relay {
	t.Helper()
	r := &relay{arrived: make(chan struct{}, 1), seen: make([]string, 0, 100_000)}
	r.first, r.second = r.names.Intern("first"), r.names.Intern("second")
	cfg := mir.NodeConfig{ID: 7, Names: &r.names, Lanes: lanes, Modules: []mir.Registration{
		{ID: r.first, Module: mir.ModuleFunc(func(_ mir.Event, out *mir.Out) {
			r.seen = append(r.seen, "first")
			out.Emit(r.second, hop{})
		})},
		{ID: r.second, Module: mir.ModuleFunc(func(mir.Event, *mir.Out) {
			r.seen = append(r.seen, "second")
			if r.work != nil {
				r.work()
			}
			r.arrived <- struct{}{}
		})},
	}}
	if with != nil {
		cfg.Instrument = with(&r.names)
	}
	var err error
	if r.node, err = mir.NewNode(cfg); err != nil {
		t.Fatal(err)
	}
	return r
}

// run runs the node while do is at work.
func (r *relay) run(t *testing.T, ctx context.Context, do func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- r.node.Run(ctx) }()
	do()
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

var background = context.Background()

// once takes one event through both modules.
func (r *relay) once(t *testing.T, events []mir.Event) {
	if err := r.node.Inject(background, events...); err != nil {
		t.Fatal(err)
	}
	<-r.arrived
}

// instrumented is a way to fit a relay out with an instrument.
func instrumented(labels, times bool, to **instrument.Instrument) func(*mir.Names) mir.Instrument {
	return func(names *mir.Names) mir.Instrument {
		i := instrument.New(7, names)
		i.SetLabels(labels)
		i.SetTimes(times)
		if to != nil {
			*to = i
		}
		return i
	}
}

func TestInstrumentsAllocateNothingAndChangeNothing(t *testing.T) {
	const rounds = 1000
	var want []string
	for name, with := range map[string]func(*mir.Names) mir.Instrument{
		"": nil, "off": instrumented(false, false, nil), "on": instrumented(true, true, nil),
	} {
		r := newRelay(t, with)
		r.run(t, t.Context(), func() {
			events := []mir.Event{{To: r.first, Body: hop{}}}
			if got := testing.AllocsPerRun(rounds, func() { r.once(t, events) }); got != 0 {
				t.Errorf("instrument %q: %v allocations an input, want none", name, got)
			}
		})
		if want == nil {
			want = r.seen
		}
		if !slices.Equal(r.seen, want) || len(want) != 2*(rounds+1) {
			t.Errorf("instrument %q: the node applied %d events and without instrument %d, or in another order", name, len(r.seen), len(want))
		}
	}
}

// labelsOfAll is the labels of all goroutines, as the profiler shows them.
func labelsOfAll(t *testing.T) []string {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		t.Error(err)
	}
	var all []string
	for line := range strings.Lines(profile.String()) {
		if labels, ok := strings.CutPrefix(line, "# labels: "); ok {
			all = append(all, strings.TrimSpace(labels))
		}
	}
	return all
}

func TestAModuleAtWorkCarriesItsLabelsWhileTheyAreOn(t *testing.T) {
	for _, lanes := range [][]mir.Lane{nil, {{Name: "heavy", Modules: []mir.ModuleID{2}}}} {
		var i *instrument.Instrument
		r := newRelay(t, instrumented(false, false, &i), lanes...)
		var working []string
		r.work = func() { working = labelsOfAll(t) }
		lane := "loop"
		if lanes != nil {
			lane = "heavy"
		}
		want := fmt.Sprintf(`{"lane":%q, "module":"second", "node":"7"}`, lane)
		r.run(t, t.Context(), func() {
			for _, on := range []bool{false, true, false} {
				i.SetLabels(on)
				r.once(t, []mir.Event{{To: r.first, Body: hop{}}})
				if got := slices.Contains(working, want); got != on {
					t.Errorf("labels on=%v: goroutines had %q", on, working)
				}
			}
		})
	}
}

func TestTheLabelsOfWhoeverRunsANodeSurviveIt(t *testing.T) {
	ctx := pprof.WithLabels(t.Context(), pprof.Labels("caller", "me"))
	r := newRelay(t, instrumented(true, false, nil))
	ctx, cancel := context.WithCancel(ctx)
	labels := make(chan []string)
	go func() {
		pprof.SetGoroutineLabels(ctx)
		if err := r.node.Run(ctx); err != nil {
			t.Error(err)
		}
		labels <- labelsOfAll(t)
	}()
	r.once(t, []mir.Event{{To: r.first, Body: hop{}}})
	cancel()
	if got := <-labels; !slices.Contains(got, `{"caller":"me"}`) {
		t.Errorf("after the node, goroutines have the labels %q", got)
	}
}

func TestTimeIsCountedByModuleWhileItIsMeasured(t *testing.T) {
	const work = 2 * time.Millisecond
	var i *instrument.Instrument
	r := newRelay(t, instrumented(false, false, &i))
	r.work = func() {
		for began := time.Now(); time.Since(began) < work; {
			continue
		}
	}
	spent := func() (first, second time.Duration) {
		all := r.node.Counters()
		return all[0].Spent, all[1].Spent
	}
	r.run(t, t.Context(), func() {
		events := []mir.Event{{To: r.first, Body: hop{}}}
		r.once(t, events)
		if first, second := spent(); first != 0 || second != 0 {
			t.Errorf("%v and %v were measured with times off", first, second)
		}
		i.SetTimes(true)
		r.once(t, events)
		r.once(t, events)
	})
	// A turn counts when it is over, and all are when the node has stopped.
	if first, second := spent(); second < 2*work || first == 0 {
		t.Errorf("%v and %v were measured, want more than nothing and at least %v", first, second, 2*work)
	}
	if got := i.Spent(99); got != 0 {
		t.Errorf("a module that does not exist has spent %v", got)
	}
}

func TestTurnsAreRegionsOfAnExecutionTrace(t *testing.T) {
	var out bytes.Buffer
	if err := trace.Start(&out); err != nil {
		t.Skipf("another trace runs: %v", err)
	}
	r := newRelay(t, instrumented(false, false, nil))
	r.run(t, t.Context(), func() { r.once(t, []mir.Event{{To: r.first, Body: hop{}}}) })
	trace.Stop()
	for _, module := range []string{"first", "second"} {
		if !bytes.Contains(out.Bytes(), []byte(module)) {
			t.Errorf("the trace has no region %q", module)
		}
	}
}

// An operator switches labels on for the time of a CPU profile.
func ExampleInstrument() {
	var names mir.Names
	id := names.Intern("app")
	watch := instrument.New(0, &names)
	done := make(chan struct{})
	node, err := mir.NewNode(mir.NodeConfig{
		Names: &names, Instrument: watch,
		Modules: []mir.Registration{{ID: id, Module: mir.ModuleFunc(func(mir.Event, *mir.Out) { close(done) })}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error)
	go func() { stopped <- node.Run(ctx) }()

	watch.SetLabels(true)
	watch.SetTimes(true)
	// pprof.StartCPUProfile(file) … pprof.StopCPUProfile()
	if err := node.Inject(ctx, mir.Event{To: id, Body: hop{}}); err != nil {
		fmt.Println(err)
	}
	<-done
	stop()
	if err := <-stopped; err != nil {
		fmt.Println(err)
	}
	app := node.Counters()[0]
	fmt.Println(app.Name, app.Applied, app.Queued(), app.Spent > 0)
	// Output: app 1 0 true
}
