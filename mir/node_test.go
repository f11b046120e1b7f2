package mir_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/mir"
)

// trace records what a node applied, in order, and closes done with the note
// "end".
type trace struct {
	seen []string
	done chan struct{}
}

func newTrace() *trace { return &trace{done: make(chan struct{})} }

func (tr *trace) module(then func(n note, out *mir.Out)) mir.Module {
	return mir.ModuleFunc(func(ev mir.Event, out *mir.Out) {
		n := ev.Body.(note)
		tr.seen = append(tr.seen, string(n))
		if then != nil {
			then(n, out)
		}
		if n == "end" {
			close(tr.done)
		}
	})
}

func runTrace(t *testing.T, n *mir.Node, tr *trace) {
	t.Helper()
	stop := start(n)
	<-tr.done
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestEventsAreAppliedInTheOrderOfEmission(t *testing.T) {
	var names mir.Names
	a, b := names.Intern("a"), names.Intern("b")
	tr := newTrace()
	n := mustNode(t, mir.NodeConfig{Names: &names, Modules: []mir.Registration{
		{ID: a, Module: tr.module(func(_ note, out *mir.Out) {
			out.Emit(b, note("b1"))
			out.Emit(b, note("b2"))
			out.Emit(b, note("end"))
		})},
		{ID: b, Module: tr.module(func(n note, out *mir.Out) {
			if n == "b1" {
				out.Emit(b, note("b1.1"))
			}
		})},
	}})
	inject(t, n, mir.Event{To: a, Body: note("a")})
	stop := start(n)
	<-tr.done
	eventually(t, "everything to be applied", func() bool { return n.Counters()[1].Applied == 4 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b1", "b2", "end", "b1.1"}; !slices.Equal(tr.seen, want) {
		t.Fatalf("applied %v, want %v", tr.seen, want)
	}
}

func TestAnInputRunsToCompletionBeforeTheNextBegins(t *testing.T) {
	var names mir.Names
	a := names.Intern("a")
	tr := newTrace()
	n := mustNode(t, mir.NodeConfig{Names: &names, Modules: []mir.Registration{
		{ID: a, Module: tr.module(func(n note, out *mir.Out) {
			if len(n) < 3 {
				out.Emit(a, n+n[:1])
			}
		})},
	}})
	inject(t, n, mir.Event{To: a, Body: note("x")}, mir.Event{To: a, Body: note("y")}, mir.Event{To: a, Body: note("end")})
	runTrace(t, n, tr)
	if want := []string{"x", "xx", "xxx", "y", "yy", "yyy", "end"}; !slices.Equal(tr.seen, want) {
		t.Fatalf("applied %v, want %v", tr.seen, want)
	}
}

// recorder is an interceptor.
type recorder struct{ seen []string }

func (r *recorder) Intercept(ev mir.Event, input bool) {
	line := string(ev.Body.(note))
	if input {
		line = "input " + line
	}
	r.seen = append(r.seen, line)
}

func TestTheInterceptorSeesEveryEventAndTellsInputs(t *testing.T) {
	var names mir.Names
	a := names.Intern("a")
	tr, rec := newTrace(), &recorder{}
	n := mustNode(t, mir.NodeConfig{Names: &names, Interceptor: rec, Modules: []mir.Registration{
		{ID: a, Module: tr.module(func(n note, out *mir.Out) {
			if n == "x" {
				out.Emit(a, note("y"))
			}
		})},
	}})
	inject(t, n, mir.Event{To: a, Body: note("x")}, mir.Event{To: a, Body: note("end")})
	runTrace(t, n, tr)
	if want := []string{"input x", "y", "input end"}; !slices.Equal(rec.seen, want) {
		t.Fatalf("intercepted %v, want %v", rec.seen, want)
	}
	if got, want := n.Counters(), []mir.ModuleCounters{{ID: a, Name: "a", In: 3, Applied: 3}}; !slices.Equal(got, want) {
		t.Fatalf("counted %v, want %v", got, want)
	}
}

func TestBrokenNodesStopWithAnErrorThatNamesTheCulprit(t *testing.T) {
	var names mir.Names
	a, absent := names.Intern("alpha"), names.Intern("absent")
	errBroken := errors.New("counter went backwards")
	for _, tc := range []struct {
		name   string
		module mir.ModuleFunc
		to     mir.ModuleID
		is     error
		says   []string
	}{
		{
			name: "a module emits to an unregistered module", to: a,
			module: func(_ mir.Event, out *mir.Out) { out.Emit(absent, note("x")) },
			is:     mir.ErrUnregistered, says: []string{"alpha", "test.Note", "absent"},
		},
		{
			name: "an input is addressed to an unregistered module", to: absent,
			is: mir.ErrUnregistered, says: []string{"input", "test.Note", "absent"},
		},
		{
			name: "an input is addressed beyond the table", to: 99,
			is: mir.ErrUnregistered, says: []string{"module(99)"},
		},
		{
			name: "a module panics", to: a,
			module: func(mir.Event, *mir.Out) { panic(errBroken) },
			is:     errBroken, says: []string{"alpha", "test.Note", "counter went backwards", "node_test.go"},
		},
		{
			name: "a module emits without end", to: a,
			module: func(_ mir.Event, out *mir.Out) { out.Emit(a, note("x")); out.Emit(a, note("x")) },
			is:     mir.ErrQueueFull, says: []string{"alpha", "1000 events"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := mustNode(t, mir.NodeConfig{
				ID: 5, Names: &names, QueueEventsMax: 1000,
				Modules: []mir.Registration{{ID: a, Module: tc.module}},
			})
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
			if err := n.Inject(t.Context(), mir.Event{To: a, Body: note("late")}); !errors.Is(err, mir.ErrStopped) {
				t.Errorf("Inject after the end returned %v, want ErrStopped", err)
			}
		})
	}
}

func TestAnEventWithoutBodyIsAnErrorAndNotAPanic(t *testing.T) {
	var names mir.Names
	a := names.Intern("a")
	n := mustNode(t, mir.NodeConfig{Names: &names, Modules: []mir.Registration{{ID: a, Module: newTrace().module(nil)}}})
	inject(t, n, mir.Event{To: a})
	if err := n.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "without body") {
		t.Fatalf("Run returned %v", err)
	}
}

func TestWrongWiringIsRefused(t *testing.T) {
	var names mir.Names
	a := names.Intern("a")
	m := newTrace().module(nil)
	for name, cfg := range map[string]mir.NodeConfig{
		"no names":     {},
		"not interned": {Names: &names, Modules: []mir.Registration{{ID: a + 1, Module: m}}},
		"module zero":  {Names: &names, Modules: []mir.Registration{{ID: 0, Module: m}}},
		"nil module":   {Names: &names, Modules: []mir.Registration{{ID: a}}},
		"twice":        {Names: &names, Modules: []mir.Registration{{ID: a, Module: m}, {ID: a, Module: m}}},
		"client marks": {Names: &names, ClientInput: mir.Watermarks{High: 2, Low: 2}},
		"active marks": {Names: &names, ActiveInput: mir.Watermarks{High: 2, Low: -1}},
		"bytes":        {Names: &names, InputBytesMax: -1},
		"batch":        {Names: &names, InputBatch: -1},
		"queue":        {Names: &names, QueueEventsMax: -1},
	} {
		if _, err := mir.NewNode(cfg); err == nil {
			t.Errorf("%s: NewNode did not refuse", name)
		}
	}
}

func TestAStopEndsAModuleThatNeverComesToRest(t *testing.T) {
	var names mir.Names
	a := names.Intern("a")
	n := mustNode(t, mir.NodeConfig{Names: &names, Modules: []mir.Registration{
		{ID: a, Module: mir.ModuleFunc(func(ev mir.Event, out *mir.Out) { out.Emit(a, ev.Body) })},
	}})
	inject(t, n, mir.Event{To: a, Body: note("x")})
	stop := start(n)
	eventually(t, "the module to spin", func() bool { return n.Counters()[0].Applied > 0 })
	if err := stop(); err != nil {
		t.Fatalf("Run returned %v, want nil", err)
	}
}

func TestInjectGivesUpWithItsContext(t *testing.T) {
	var names mir.Names
	a := names.Intern("a")
	n := mustNode(t, mir.NodeConfig{
		Names: &names, Modules: []mir.Registration{{ID: a, Module: newTrace().module(nil)}},
		ClientInput: mir.Watermarks{High: 3, Low: 1},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Inject(ctx, make([]mir.Event, 5)...) }()
	eventually(t, "the lane to fill", func() bool { return n.InputCounters().ClientPauses == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("Inject returned %v, want context.Canceled", err)
	}
	if got := n.InputCounters().ClientQueued; got != 3 {
		t.Fatalf("%d events are queued, want the high-water mark 3", got)
	}
}

// fakeActive records its life into log.
type fakeActive struct {
	name     string
	log      *[]string
	startErr error
	failWith error
}

func (f *fakeActive) Start(in mir.Injector) error {
	*f.log = append(*f.log, "start "+f.name)
	if f.failWith != nil {
		in.Fail(f.failWith)
	}
	return f.startErr
}

func (f *fakeActive) Stop()                     { *f.log = append(*f.log, "stop "+f.name) }
func (f *fakeActive) Apply(mir.Event, *mir.Out) {}

func TestActiveModulesStopInReverseOrderWhateverEndsTheNode(t *testing.T) {
	errDisk := errors.New("disk is gone")
	for _, tc := range []struct {
		name   string
		second fakeActive
		want   []string
	}{
		{"one can not start", fakeActive{startErr: errDisk}, []string{"start 1", "start 2", "stop 1"}},
		{"one fails later", fakeActive{failWith: errDisk}, []string{"start 1", "start 2", "stop 2", "stop 1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var names mir.Names
			var log []string
			first, second := &fakeActive{name: "1", log: &log}, tc.second
			second.name, second.log = "2", &log
			n := mustNode(t, mir.NodeConfig{Names: &names, Modules: []mir.Registration{
				{ID: names.Intern("a"), Module: first}, {ID: names.Intern("b"), Module: &second},
			}})
			if err := n.Run(t.Context()); !errors.Is(err, errDisk) {
				t.Fatalf("Run returned %v, want %v", err, errDisk)
			}
			if !slices.Equal(log, tc.want) {
				t.Fatalf("life was %v, want %v", log, tc.want)
			}
		})
	}
}

func TestANodeRunsOnce(t *testing.T) {
	var names mir.Names
	n := mustNode(t, mir.NodeConfig{Names: &names})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := n.Run(ctx); err == nil {
		t.Fatal("a second Run was not refused")
	}
}
