package checkpoint

import (
	"testing"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// A replica that executes more slowly than the others holds each state that it
// comes to, although a later one is stable already: a restart loses little, and
// what waits for the state to be on disk does not wait for the latest one.
func TestStatesThatAreExecutedLateAreHeldOneAfterTheOther(t *testing.T) {
	b := newBench(t, 4)
	for e := range types.Epoch(3) {
		b.receive(0, b.certificate(e, "state", 0, 1, 2))
	}
	b.snapshot(0, "state")
	b.want("to module 5: held snapshot of epoch 0")
	if err := b.restart(); err != nil {
		t.Fatal(err)
	}
	b.snapshot(1, "state")
	b.want("to module 5: held snapshot of epoch 1")
	if got := b.keys(); got != "k1 k2 s1/0" {
		t.Errorf("durable: %s", got)
	}
	b.snapshot(2, "state")
	if got := b.keys(); got != "k2 s2/0" {
		t.Errorf("durable: %s", got)
	}
}

func TestALateStateThatIsNotTheStableOneIsRefused(t *testing.T) {
	b := newBench(t, 4)
	b.receive(0, b.certificate(0, "state", 0, 1, 2))
	b.receive(0, b.certificate(1, "state", 0, 1, 2))
	defer func() {
		if recover() == nil {
			t.Error("another state than the stable one of an earlier epoch is held")
		}
	}()
	b.snapshot(0, "another state")
}

func TestStableCheckpointsToCatchUpWithAreBounded(t *testing.T) {
	b := newBench(t, 4)
	b.stabilise(0, "state")
	for e := types.Epoch(1); e <= passedMax+10; e++ {
		b.receive(0, b.certificate(e, "state", 0, 1, 2))
	}
	// With the one that is held, and its snapshot.
	if got, want := len(b.disk), passedMax+2; got != want || len(b.c.passed) != passedMax {
		t.Errorf("%d records and %d checkpoints are kept, want %d and %d", got, len(b.c.passed), want, passedMax)
	}
	b.snapshot(1, "state")
	b.want() // Nothing shows any more that it is final.
	if err := b.restart(); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := b.c.Held(); !ok {
		t.Error("what was held is lost")
	}
}

// Availability deletes batches by what it hears, which a restart needs until the
// state after them is on disk.
func TestAvailabilityHearsOfStatesOnDiskOnly(t *testing.T) {
	b := newBench(t, 4)
	const availability mir.ModuleID = 20
	b.c.cfg.Availability = availability
	b.receive(0, b.certificate(0, "state", 0, 1, 2))
	stable := describe(types.StableCheckpoint(b.certificate(0, "state", 0, 1, 2)))
	b.want("to module 6: "+stable, "to module 7: "+stable)
	b.snapshot(0, "state")
	b.want("to module 5: held snapshot of epoch 0", "to module 20: "+stable)
	if err := b.restart(); err != nil {
		t.Fatal(err)
	}
	b.c.cfg.Availability = availability
	b.receive(0, b.certificate(1, "state", 0, 1, 2))
	b.apply(types.Boot{})
	if got, want := b.lines[3], "to module 20: "+stable; got != want {
		t.Errorf("after a restart %q, want %q", got, want)
	}
}
