package mir_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
)

// count is an event that is a number.
type count int

func (count) EventName() string { return "test.Count" }

// pipeline is three modules in a row. The first tells each number to the last
// and then to the middle, which tells it to the last too; "done" is closed with
// the last number.
type pipeline struct {
	names               mir.Names
	first, middle, last mir.ModuleID
	seen                []string // By the last.
	done                chan struct{}
}

func newPipeline(numbers int) (*pipeline, []mir.Registration) {
	p := &pipeline{done: make(chan struct{})}
	p.first, p.middle, p.last = p.names.Intern("first"), p.names.Intern("middle"), p.names.Intern("last")
	return p, []mir.Registration{
		{ID: p.first, Module: mir.ModuleFunc(func(ev mir.Event, out *mir.Out) {
			out.Emit(p.last, note(fmt.Sprint("direct ", ev.Body)))
			out.Emit(p.middle, ev.Body)
		})},
		{ID: p.middle, Module: mir.ModuleFunc(func(ev mir.Event, out *mir.Out) {
			out.Emit(p.last, note(fmt.Sprint("relayed ", ev.Body)))
		})},
		{ID: p.last, Module: mir.ModuleFunc(func(ev mir.Event, _ *mir.Out) {
			p.seen = append(p.seen, string(ev.Body.(note)))
			if len(p.seen) == 2*numbers {
				close(p.done)
			}
		})},
	}
}

// inputs are the numbers for the first module.
func (p *pipeline) inputs(numbers int) []mir.Event {
	events := make([]mir.Event, numbers)
	for i := range events {
		events[i] = mir.Event{To: p.first, Body: count(i)}
	}
	return events
}

// of is what the last module saw of one kind, in its order.
func (p *pipeline) of(kind string) []string {
	var all []string
	for _, line := range p.seen {
		if strings.HasPrefix(line, kind) {
			all = append(all, line)
		}
	}
	return all
}

var laneLayouts = map[string]func(p *pipeline) []mir.Lane{
	"no lanes":            func(*pipeline) []mir.Lane { return nil },
	"one lane for each":   func(p *pipeline) []mir.Lane { return oneEach(p.first, p.middle, p.last) },
	"the last apart":      func(p *pipeline) []mir.Lane { return oneEach(p.last) },
	"the middle apart":    func(p *pipeline) []mir.Lane { return oneEach(p.middle) },
	"the first apart":     func(p *pipeline) []mir.Lane { return oneEach(p.first) },
	"all in another lane": func(p *pipeline) []mir.Lane { return []mir.Lane{{Name: "all", Modules: []mir.ModuleID{1, 2, 3}}} },
}

// oneEach gives each module a lane of its own, whose backlog is almost always
// full.
func oneEach(ids ...mir.ModuleID) []mir.Lane {
	var lanes []mir.Lane
	for _, id := range ids {
		lanes = append(lanes, mir.Lane{
			Name: fmt.Sprint("lane ", id), Modules: []mir.ModuleID{id}, Backlog: mir.Watermarks{High: 1, Low: 0},
		})
	}
	return lanes
}

func TestEventsBetweenTwoModulesKeepTheirOrderAndCausesComeFirstInAnyLanes(t *testing.T) {
	const numbers = 3000
	for name, layout := range laneLayouts {
		t.Run(name, func(t *testing.T) {
			defer noLeak(t)()
			p, modules := newPipeline(numbers)
			n := mustNode(t, mir.NodeConfig{Names: &p.names, Modules: modules, Lanes: layout(p), InputBatch: 4})
			stop := start(n)
			inject(t, n, p.inputs(numbers)...)
			<-p.done
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			place := map[string]int{}
			for i, line := range p.seen {
				place[line] = i
			}
			for i := range numbers {
				direct, relayed := fmt.Sprint("direct ", i), fmt.Sprint("relayed ", i)
				if place[direct] > place[relayed] {
					t.Fatalf("%q came after %q, which followed from it", direct, relayed)
				}
				if i > 0 && (place[direct] < place[fmt.Sprint("direct ", i-1)] || place[relayed] < place[fmt.Sprint("relayed ", i-1)]) {
					t.Fatalf("%d came before %d", i, i-1)
				}
			}
			for _, c := range n.Counters() {
				if c.In != c.Applied || c.Applied < numbers || c.Queued() != 0 {
					t.Errorf("counted %+v at the end", c)
				}
			}
		})
	}
}

func TestOneModuleTableRunsUnderAllThreeSchedulers(t *testing.T) {
	const numbers = 100
	p, modules := newPipeline(numbers)
	net, timer := p.names.Intern("net"), p.names.Intern("timer")
	s, err := sim.New(sim.Config{Codec: noteCodec{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddNode(sim.NodeConfig{Names: &p.names, Modules: modules, Net: net, Timer: timer}); err != nil {
		t.Fatal(err)
	}
	s.Inject(0, p.inputs(numbers)...)
	if err := s.Run(time.Second); err != nil {
		t.Fatal(err)
	}
	for name, layout := range laneLayouts {
		q, modules := newPipeline(numbers)
		n := mustNode(t, mir.NodeConfig{Names: &q.names, Modules: modules, Lanes: layout(q)})
		stop := start(n)
		inject(t, n, q.inputs(numbers)...)
		<-q.done
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"direct", "relayed"} {
			if !slices.Equal(q.of(kind), p.of(kind)) {
				t.Errorf("%s: the last module saw other %s events than in simulation", name, kind)
			}
		}
		if layout(q) == nil && !slices.Equal(q.seen, p.seen) {
			t.Error("without lanes a node applies events in another order than the simulation")
		}
	}
}

func TestLanesThatAreFullOfEventsForEachOtherDoNotDeadlock(t *testing.T) {
	defer noLeak(t)()
	const inputs, rounds = 500, 20
	var names mir.Names
	a, b := names.Intern("a"), names.Intern("b")
	var applied atomic.Int64
	pass := func(to mir.ModuleID) mir.Module {
		return mir.ModuleFunc(func(ev mir.Event, out *mir.Out) {
			applied.Add(1)
			if left := ev.Body.(count); left > 0 {
				out.Emit(to, left-1)
			}
		})
	}
	n := mustNode(t, mir.NodeConfig{
		Names: &names, Lanes: oneEach(a, b), InputBatch: 1,
		Modules: []mir.Registration{{ID: a, Module: pass(b)}, {ID: b, Module: pass(a)}},
	})
	stop := start(n)
	for range inputs {
		inject(t, n, mir.Event{To: a, Body: count(rounds)}, mir.Event{To: b, Body: count(rounds)})
	}
	eventually(t, "every event to be applied", func() bool { return applied.Load() == 2*inputs*(rounds+1) })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for _, c := range n.LaneCounters() {
		if c.Pauses == 0 {
			t.Errorf("the bound was never reached: %+v", c)
		}
	}
}

// stuck is a node whose module "slow" waits in its lane for release, and whose
// module "fast" does nothing.
func stuck(t *testing.T, lane mir.Lane, cfg mir.NodeConfig) (n *mir.Node, slow, fast mir.ModuleID, release func()) {
	t.Helper()
	names := &mir.Names{}
	slow, fast = names.Intern("slow"), names.Intern("fast")
	gate := make(chan struct{})
	lane.Name, lane.Modules = "slow lane", []mir.ModuleID{slow}
	cfg.Names, cfg.Lanes = names, []mir.Lane{lane}
	cfg.Modules = []mir.Registration{
		{ID: slow, Module: mir.ModuleFunc(func(mir.Event, *mir.Out) { <-gate })},
		{ID: fast, Module: mir.ModuleFunc(func(mir.Event, *mir.Out) {})},
	}
	return mustNode(t, cfg), slow, fast, func() { close(gate) }
}

func TestInputWaitsForALaneThatIsBehindAndOnlyThen(t *testing.T) {
	defer noLeak(t)()
	const high, batch = 8, 2
	n, slow, fast, release := stuck(t, mir.Lane{Backlog: mir.Watermarks{High: high, Low: 2}}, mir.NodeConfig{
		InputBatch: batch, ClientInput: mir.Watermarks{High: 4, Low: 1},
	})
	stop := start(n)
	ctx, cancel := context.WithCancel(t.Context())
	given := make(chan error, 1)
	go func() { given <- n.Inject(ctx, slices.Repeat([]mir.Event{{To: slow, Body: note("x")}}, 100)...) }()
	eventually(t, "the lane to be behind", func() bool { return n.LaneCounters()[0].Pauses == 1 })
	eventually(t, "the client to wait", func() bool { return n.InputCounters().ClientPauses > 0 })
	cancel()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Fatalf("Inject returned %v while the lane was behind, want context.Canceled", err)
	}
	// One turn of the input passes the mark by a batch less one.
	if got := n.LaneCounters()[0]; got.Name != "slow lane" || got.QueuedMax < high || got.QueuedMax > high+batch-1 {
		t.Errorf("counted %+v, want at most %d", got, high+batch-1)
	}
	release()
	inject(t, n, mir.Event{To: fast, Body: note("y")})
	eventually(t, "the other lane to be served again", func() bool { return n.Counters()[1].Applied == 1 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestALaneWhoseEventsAreLargeIsBehindByItsBytes(t *testing.T) {
	n, slow, _, release := stuck(t, mir.Lane{}, mir.NodeConfig{InputBytesMax: 1000, InputBatch: 1})
	stop := start(n)
	large := mir.Event{To: slow, Body: note("x")}.Sized(600)
	go func() { _ = n.Inject(t.Context(), large, large, large, large, large) }()
	eventually(t, "the lane to be behind", func() bool { return n.LaneCounters()[0].Pauses == 1 })
	// Two are too much, and the first of the two may be at work.
	if c := n.LaneCounters()[0]; c.Queued > 2 || c.Bytes != 600*c.Queued {
		t.Errorf("counted %+v, want at most two of 600 bytes", c)
	}
	release()
	eventually(t, "all to be applied", func() bool { return n.Counters()[0].Applied == 5 })
	if c := n.Counters()[0]; c.Bytes != 3000 {
		t.Errorf("counted %+v, want 3000 bytes", c)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatBreaksInALaneEndsTheNodeAndNamesTheCulprit(t *testing.T) {
	errBroken := errors.New("counter went backwards")
	var names mir.Names
	calm, bad, absent := names.Intern("calm"), names.Intern("bad"), names.Intern("absent")
	for _, tc := range []struct {
		name string
		to   mir.ModuleID
		do   func(out *mir.Out)
		is   error
		says []string
	}{
		{"a module panics", bad, func(*mir.Out) { panic(errBroken) }, errBroken, []string{"bad", "test.Note", "lanes_test.go"}},
		{"it emits to nobody", bad, func(out *mir.Out) { out.Emit(absent, note("x")) }, mir.ErrUnregistered, []string{"bad sent test.Note to absent"}},
		{"it emits without end", bad, func(out *mir.Out) {
			for range 2000 {
				out.Emit(bad, note("x")) // Which cannot take one before the last is there.
			}
		}, mir.ErrQueueFull, []string{"bad", "1000 events"}},
		{"an input is for nobody", absent, nil, mir.ErrUnregistered, []string{"input", "absent"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			defer noLeak(t)()
			var life []string
			active := &fakeActive{name: "net", log: &life}
			hold := make(chan struct{})
			n := mustNode(t, mir.NodeConfig{
				ID: 5, Names: &names, QueueEventsMax: 1000, Lanes: oneEach(calm, bad),
				Modules: []mir.Registration{
					{ID: calm, Module: mir.ModuleFunc(func(mir.Event, *mir.Out) { <-hold })},
					{ID: bad, Module: mir.ModuleFunc(func(_ mir.Event, out *mir.Out) { defer close(hold); tc.do(out) })},
					{ID: names.Intern("net"), Module: active},
				},
			})
			if tc.do == nil {
				close(hold)
			}
			inject(t, n, mir.Event{To: tc.to, Body: note("x")})
			err := n.Run(t.Context())
			if !errors.Is(err, tc.is) {
				t.Fatalf("Run returned %v, want %v", err, tc.is)
			}
			for _, word := range append(tc.says, "node 5") {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("the error does not say %q: %v", word, err)
				}
			}
			if want := []string{"start net", "stop net"}; !slices.Equal(life, want) {
				t.Errorf("the active module's life was %v, want %v", life, want)
			}
		})
	}
}

func TestAnActiveModuleThatFailsEndsANodeWithLanes(t *testing.T) {
	errDisk := errors.New("disk is gone")
	var names mir.Names
	var life []string
	store := names.Intern("store")
	n := mustNode(t, mir.NodeConfig{
		Names: &names, Lanes: oneEach(store),
		Modules: []mir.Registration{{ID: store, Module: &fakeActive{name: "store", log: &life, failWith: errDisk}}},
	})
	if err := n.Run(t.Context()); !errors.Is(err, errDisk) {
		t.Fatalf("Run returned %v, want %v", err, errDisk)
	}
}

func TestAStopEndsLanesThatNeverComeToRest(t *testing.T) {
	defer noLeak(t)()
	var names mir.Names
	a, b, c := names.Intern("a"), names.Intern("b"), names.Intern("c")
	pass := func(to mir.ModuleID) mir.Module {
		return mir.ModuleFunc(func(ev mir.Event, out *mir.Out) { out.Emit(to, ev.Body) })
	}
	n := mustNode(t, mir.NodeConfig{Names: &names, Lanes: oneEach(a, b), Modules: []mir.Registration{
		{ID: a, Module: pass(b)}, {ID: b, Module: pass(a)}, {ID: c, Module: pass(c)},
	}})
	inject(t, n, mir.Event{To: a, Body: note("x")}, mir.Event{To: c, Body: note("x")})
	stop := start(n)
	for i := range 3 {
		eventually(t, "the modules to spin", func() bool { return n.Counters()[i].Applied > 0 })
	}
	if err := stop(); err != nil {
		t.Fatalf("Run returned %v, want nil", err)
	}
}

// round is what the timer of the next test fires: it says for which round.
type round struct{ nr int }

func (round) EventName() string { return "test.Round" }

// With lanes a timer may fire although it was cancelled before: what Fire's body
// says, a generation, tells the module that it is old.
func TestACancelledTimerOfAnotherLaneIsKnownByItsGeneration(t *testing.T) {
	var names mir.Names
	timer, app := names.Intern("timer"), names.Intern("app")
	hold, dropped := make(chan struct{}), make(chan int, 1)
	current := 0
	id := mir.TimerID{Owner: app}
	module := mir.ModuleFunc(func(ev mir.Event, out *mir.Out) {
		switch body := ev.Body.(type) {
		case note:
			out.Emit(timer, mir.SetTimer{ID: id, Fire: mir.Event{To: app, Body: round{current}}})
		case count: // Meanwhile the timer fires into the lane's queue.
			<-hold
			out.Emit(timer, mir.CancelTimer{ID: id})
			current++
		case round:
			if body.nr != current {
				dropped <- body.nr
			}
		}
	})
	n := mustNode(t, mir.NodeConfig{Names: &names, Lanes: oneEach(app), Modules: []mir.Registration{
		{ID: timer, Module: mir.NewRealTimer(timer)}, {ID: app, Module: module},
	}})
	// Both are queued before the node runs, and so before the timer can be set.
	inject(t, n, mir.Event{To: app, Body: note("set")}, mir.Event{To: app, Body: count(0)})
	stop := start(n)
	eventually(t, "the timer to fire", func() bool { return n.LaneCounters()[0].Queued == 1 })
	close(hold)
	if nr := <-dropped; nr != 0 {
		t.Errorf("round %d was dropped, want 0", nr)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestWrongLanesAreRefused(t *testing.T) {
	var names mir.Names
	a, b, absent := names.Intern("a"), names.Intern("b"), names.Intern("absent")
	module := mir.ModuleFunc(func(mir.Event, *mir.Out) {})
	for name, tc := range map[string]struct {
		lanes       []mir.Lane
		interceptor mir.Interceptor
		says        string
	}{
		"an interceptor": {lanes: oneEach(a), interceptor: &recorder{}, says: "record without Lanes"},
		"no name":        {lanes: []mir.Lane{{Modules: []mir.ModuleID{a}}}, says: "name"},
		"one name twice": {lanes: []mir.Lane{{Name: "x", Modules: []mir.ModuleID{a}}, {Name: "x", Modules: []mir.ModuleID{b}}}, says: "twice"},
		"the loop's":     {lanes: []mir.Lane{{Name: "loop", Modules: []mir.ModuleID{a}}}, says: "loop"},
		"no modules":     {lanes: []mir.Lane{{Name: "x"}}, says: "no modules"},
		"unregistered":   {lanes: oneEach(absent), says: "absent"},
		"not interned":   {lanes: oneEach(99), says: "module(99)"},
		"in two lanes":   {lanes: []mir.Lane{{Name: "x", Modules: []mir.ModuleID{a}}, {Name: "y", Modules: []mir.ModuleID{b, a}}}, says: `a is in lane "x" too`},
		"marks":          {lanes: []mir.Lane{{Name: "x", Modules: []mir.ModuleID{a}, Backlog: mir.Watermarks{High: 1, Low: 1}}}, says: "mark"},
	} {
		_, err := mir.NewNode(mir.NodeConfig{
			Names: &names, Lanes: tc.lanes, Interceptor: tc.interceptor,
			Modules: []mir.Registration{{ID: a, Module: module}, {ID: b, Module: module}},
		})
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: NewNode returned %v, want an error that says %q", name, err, tc.says)
		}
	}
}
