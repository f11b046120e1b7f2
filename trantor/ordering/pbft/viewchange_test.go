package pbft

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

var empty types.Proposal

// ISS, section 4.2: nothing but the empty proposal replaces a silent leader's.
func TestSlotsOfASilentLeaderBecomeEmpty(t *testing.T) {
	g := newGroup(t, 4, 2)
	g.lost = func(p packet) bool { return p.from == 0 || p.to == 0 }
	g.need(0, 1, 2, 3)
	g.expire(1, 2, 3)
	g.run()
	g.wantDecided(0, &empty, 1, 2, 3)
	g.wantDecided(4, &empty, 1, 2, 3)
	g.checkTrace(`A silent leader: replica 0 says nothing and hears nothing. Slot 0 is needed, so the others
leave for view 1, and its leader's new view makes both slots of the segment empty.`)
}

// CL02, section 4.4: a value that may be decided somewhere is proposed again.
func TestPreparedValueSurvivesTheViewChange(t *testing.T) {
	g := newGroup(t, 4, 2)
	g.lost = func(p packet) bool {
		_, commit := p.msg.(Commit)
		return commit && p.to != 3
	}
	g.propose(0, 0, value(1))
	g.run()
	want := value(1)
	g.wantDecided(0, &want, 3)
	g.wantDecided(0, nil, 0, 1, 2)
	g.lost = func(p packet) bool { return p.from == 3 || p.to == 3 }
	g.expire(0, 1, 2)
	g.run()
	g.wantDecided(0, &want, 0, 1, 2)
	g.wantDecided(4, &empty, 0, 1, 2)
	g.checkTrace(`Commits of slot 0 reach replica 3 only, which decides and then falls silent. The others time
out; the certificates in their view changes make the new view propose the value again.
Slot 4, which nobody prepared, becomes empty.`)
}

func TestHighestPreparedCertificateWins(t *testing.T) {
	g := newGroup(t, 4, 1)
	low, high := g.prepared(1, 0, value(1), 0, 1, 2), g.prepared(2, 0, value(2), 1, 2, 3)
	g.receive(3, 0, g.change(0, 3, low))
	g.receive(3, 1, g.change(1, 3, high)) // Replica 3 leads view 3 and joins: a quorum with its own.
	if got := g.nodes[3].slots[0].accept; got != digestOf(value(2)) {
		t.Errorf("view 3 proposes %s, want the value of view 2", got)
	}
}

// A leader that sends one value to two replicas and another to the third gets
// at most one decided, whatever its own votes are.
func TestEquivocatingLeaderGetsOneValueAtMost(t *testing.T) {
	g := newGroup(t, 4, 1)
	a, b := value(1), value(2)
	g.lost = func(p packet) bool { return p.to == 0 }
	g.receive(1, 0, g.preprepare(0, 0, a))
	g.receive(2, 0, g.preprepare(0, 0, a))
	g.receive(3, 0, g.preprepare(0, 0, b))
	g.receive(3, 0, Commit{Digest: digestOf(b)})
	g.run()
	g.receive(1, 0, Commit{Digest: digestOf(a)}) // Completes a quorum at replica 1 alone.
	g.wantDecided(0, &a, 1)
	g.wantDecided(0, nil, 2, 3)
	g.expire(2, 3)
	g.run()
	g.wantDecided(0, &a, 1, 2, 3)
	g.checkTrace(`Leader 0 equivocates: value 1 to replicas 1 and 2, value 2 to replica 3. Replica 1 decides
value 1 with the leader's commit. The other two change the view, replica 1 follows, and
all correct replicas end with value 1.`)
}

// CL02, section 4.5.2.
func TestReplicaJoinsTheSmallestViewThatACorrectOneLeftFor(t *testing.T) {
	g := newGroup(t, 7, 1) // f = 2
	g.receive(6, 1, g.change(1, 5))
	g.receive(6, 2, g.change(2, 3))
	if got := g.nodes[6].view; got != 0 {
		t.Fatalf("weight f moved the replica to view %d", got)
	}
	g.receive(6, 3, g.change(3, 4))
	if got := g.nodes[6].view; got != 3 {
		t.Errorf("view %d, want 3", got)
	}
}

func TestViewChangeOfOneReplicaMovesNobodyAndRunsNoFurther(t *testing.T) {
	g := newGroup(t, 4, 1)
	g.need(0, 3)
	g.expire(3)
	g.run()
	for id, want := range []types.View{0, 0, 0, 1} {
		if got := g.nodes[id].view; got != want {
			t.Errorf("replica %d is in view %d, want %d", id, got, want)
		}
	}
	if g.patience(3) != nil {
		t.Error("a replica that left alone gives the next view a timeout")
	}
}

func TestTimeoutDoublesWithEachView(t *testing.T) {
	g := newGroup(t, 4, 1)
	g.lost = func(p packet) bool { // Neither leader 1 nor leader 2 starts its view.
		_, newView := p.msg.(NewView)
		return newView || p.to == 0 || p.from == 0
	}
	g.need(0, 1, 2, 3)
	for v, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		if got := g.patience(3).After; got != want {
			t.Errorf("view %d has %v, want %v", v, got, want)
		}
		for _, id := range []types.NodeID{1, 2, 3} {
			if g.patience(id) != nil && g.nodes[id].view == types.View(v) {
				g.expire(id)
			}
		}
		g.run()
	}
}

// Timeouts are per proposal: a straggling leader does not live on one decision
// after the other, and a decision says nothing against a younger proposal.
func TestEachSlotHasItsOwnTime(t *testing.T) {
	g := newGroup(t, 4, 3)
	g.need(4, 3)
	before := g.patience(3).Fire.Body
	g.propose(0, 0, value(1))
	g.run()
	g.need(8, 3)
	if got := g.patience(3).Fire.Body; got != before {
		t.Error("the decision of one slot gave another more time")
	}
	g.apply(3, before)
	if g.nodes[3].view != 1 {
		t.Error("a slot without a proposal did not depose the leader")
	}
	g.apply(3, timeout{view: 0, slot: 2})
	if g.nodes[3].view != 1 {
		t.Error("a timer of a view that has passed deposed the next leader")
	}
}

// The rule that closes the gap between those who decided and do not need a view
// change, and one that left its view and can do nothing without the others.
func TestReplicaThatLeftAloneLearnsDecisions(t *testing.T) {
	g := newGroup(t, 4, 2)
	g.lost = func(p packet) bool { return p.to == 3 }
	g.propose(0, 0, value(1))
	g.run()
	g.lost = func(p packet) bool { return p.from == 0 }
	g.need(0, 3)
	g.expire(3)
	g.tick(3) // The slot is needed from now on for a whole tick.
	g.run()
	g.wantDecided(0, nil, 3)
	g.tick(3)
	g.run()
	want := value(1)
	g.wantDecided(0, &want, 3)
	g.checkTrace(`Replica 3 missed everything about slot 0, and timed out alone. Its view change moves nobody.
At its second tick it asks for the slot. The others have decided it and answer; the answer
of replica 0 is lost, but equal ones of two replicas, weight f+1, are enough.`)
}

func TestDecisionOfWeightFIsNotBelieved(t *testing.T) {
	g := newGroup(t, 4, 1)
	for range 2 {
		g.receive(3, 1, Decision{Proposal: value(1)})
	}
	g.receive(3, 2, Decision{Proposal: value(2)})
	g.wantDecided(0, nil, 3)
}

// A decided replica has no need of its own, but a quorum may need it.
func TestDecidedReplicaTakesPartInTheViewChange(t *testing.T) {
	g := newGroup(t, 4, 1)
	g.lost = func(p packet) bool {
		_, commit := p.msg.(Commit)
		return commit && p.to != 3
	}
	g.propose(0, 0, value(1))
	g.run()
	want := value(1)
	g.wantDecided(0, &want, 3)
	g.lost = func(p packet) bool { // Replica 0 has crashed; so 1 and 2 need 3.
		_, answer := p.msg.(Decision)
		return p.from == 0 || p.to == 0 || answer
	}
	g.expire(1, 2)
	g.run()
	g.wantDecided(0, &want, 1, 2, 3)
}

func TestForgedViewChangesAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name string
		msg  func(g *group) mir.Message
		want Stats
	}{
		{"to view 0", func(g *group) mir.Message { return g.change(1, 0) }, Stats{Malformed: 1}},
		{"signed by another", func(g *group) mir.Message { return g.change(2, 1) }, Stats{BadSignature: 1}},
		{"of another epoch", func(g *group) mir.Message {
			g.segment.Epoch++
			return g.change(1, 1)
		}, Stats{BadSignature: 1}},
		{"of another leader's segment", func(g *group) mir.Message {
			g.segment.Leader++
			return g.change(1, 1)
		}, Stats{BadSignature: 1}},
		{"certificate short of a quorum", func(g *group) mir.Message {
			return g.change(1, 1, g.prepared(0, 0, value(1), 0, 1))
		}, Stats{BadSignature: 1}},
		{"certificate with one signer twice", func(g *group) mir.Message {
			return g.change(1, 1, g.prepared(0, 0, value(1), 0, 1, 1))
		}, Stats{BadSignature: 1}},
		{"certificate for another value", func(g *group) mir.Message {
			cert := g.prepared(0, 0, value(1), 0, 1, 2)
			cert.Proposal = value(2)
			return g.change(1, 1, cert)
		}, Stats{BadSignature: 1}},
		{"certificate of a view to come", func(g *group) mir.Message {
			return g.change(1, 1, g.prepared(1, 0, value(1), 0, 1, 2))
		}, Stats{Malformed: 1}},
		{"certificate of another's slot", func(g *group) mir.Message {
			return g.change(1, 1, g.prepared(0, 1, value(1), 0, 1, 2))
		}, Stats{Malformed: 1}},
		{"one slot twice", func(g *group) mir.Message {
			cert := g.prepared(0, 0, value(1), 0, 1, 2)
			return g.change(1, 1, cert, cert)
		}, Stats{Malformed: 1}},
		{"certificate without a proof", func(g *group) mir.Message {
			m := g.change(1, 1, g.prepared(0, 0, value(1), 0, 1, 2))
			m.Proofs = nil
			return m
		}, Stats{Malformed: 1}},
		{"new view without a proof", func(g *group) mir.Message {
			return newView(1, nil, g.shown(0, 1), g.shown(1, 1, g.prepared(0, 0, value(1), 0, 1, 2)), g.shown(2, 1))
		}, Stats{Malformed: 1}},
		{"new view with a proof of nothing", func(g *group) mir.Message {
			cert := g.prepared(0, 0, value(1), 0, 1, 2)
			return newView(1, []Proof{cert.Proof}, g.shown(0, 1), g.shown(1, 1), g.shown(2, 1))
		}, Stats{Malformed: 1}},
		{"new view with a lower certificate's proof", func(g *group) mir.Message {
			low, high := g.prepared(1, 0, value(1), 0, 1, 2), g.prepared(2, 0, value(2), 0, 1, 2)
			return newView(5, []Proof{low.Proof}, g.shown(0, 5), g.shown(1, 5, low), g.shown(2, 5, high))
		}, Stats{BadSignature: 1}},
		{"new view with an invented certificate", func(g *group) mir.Message {
			cert := g.prepared(0, 0, value(1), 1)
			return newView(1, []Proof{cert.Proof}, g.shown(0, 1), g.shown(1, 1, cert), g.shown(2, 1))
		}, Stats{BadSignature: 1}},
		{"new view with two certificates of a slot and view", func(g *group) mir.Message {
			a, b := g.prepared(0, 0, value(1), 0, 1, 2), g.prepared(0, 0, value(2), 1)
			return newView(1, []Proof{a.Proof}, g.shown(0, 1, a), g.shown(1, 1, b), g.shown(2, 1))
		}, Stats{Malformed: 1}},
		{"new view short of a quorum", func(g *group) mir.Message {
			return NewView{View: 1, Changes: []SignedChange{g.shown(1, 1), g.shown(2, 1)}}
		}, Stats{Malformed: 1}},
		{"new view with one signer twice", func(g *group) mir.Message {
			return NewView{View: 1, Changes: []SignedChange{g.shown(1, 1), g.shown(2, 1), g.shown(2, 1)}}
		}, Stats{Malformed: 1}},
		{"new view with a view change to another", func(g *group) mir.Message {
			return NewView{View: 1, Changes: []SignedChange{g.shown(0, 2), g.shown(1, 1), g.shown(2, 1)}}
		}, Stats{Malformed: 1}},
		{"new view with a forged view change", func(g *group) mir.Message {
			return NewView{View: 1, Changes: []SignedChange{{0, g.change(1, 1)}, g.shown(1, 1), g.shown(2, 1)}}
		}, Stats{BadSignature: 1}},
		{"new view of another leader", func(g *group) mir.Message {
			return NewView{View: 2, Changes: []SignedChange{g.shown(0, 2), g.shown(1, 2), g.shown(2, 2)}}
		}, Stats{Stranger: 1}},
		{"new view 0", func(g *group) mir.Message { return NewView{} }, Stats{Stranger: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newGroup(t, 4, 1)
			g.receive(3, 1, tc.msg(g))
			if got := *g.stats[3]; got != tc.want {
				t.Errorf("stats %+v, want %+v", got, tc.want)
			}
			if g.nodes[3].view != 0 || len(g.inFlight) > 0 {
				t.Errorf("a forged message had effects:\n%s", g.trace.String())
			}
		})
	}
}

func newView(v types.View, proofs []Proof, changes ...SignedChange) NewView {
	return NewView{View: v, Changes: changes, Proofs: proofs}
}

// A certificate that is not the highest of its slot needs no proof: whether it is
// real or not, it would not be chosen.
func TestNewViewProvesWhatItChooses(t *testing.T) {
	g := newGroup(t, 4, 2)
	invented, low, high := g.prepared(0, 0, value(9), 1), g.prepared(0, 4, value(1), 0, 1, 2), g.prepared(1, 0, value(2), 0, 1, 2)
	g.receive(3, 2, newView(2, []Proof{high.Proof, low.Proof},
		g.shown(0, 2, high), g.shown(1, 2, invented), g.shown(2, 2, low)))
	n := g.nodes[3]
	if n.view != 2 || !n.active || n.slots[0].accept != digestOf(value(2)) || n.slots[1].accept != digestOf(value(1)) {
		t.Errorf("view %d, active %v, stats %+v: want view 2 with values 2 and 1", n.view, n.active, *g.stats[3])
	}
}

// A proposal is on the wire once, however many replicas have prepared it.
func TestNewViewHoldsEachProposalOnce(t *testing.T) {
	g := newGroup(t, 7, 1)
	g.lost = func(p packet) bool {
		_, commit := p.msg.(Commit)
		return commit || p.to == 0 && p.from != 0
	}
	g.propose(0, 0, value(1))
	g.run()
	g.expire(1, 2, 3, 4, 5, 6)
	for g.nodes[1].led == nil && len(g.inFlight) > 0 {
		g.deliver(0)
	}
	led := g.nodes[1].led
	if led == nil {
		t.Fatal("no new view")
	}
	prepared := 0
	for _, c := range led.Changes {
		prepared += len(c.Prepared)
		if len(c.Proofs) > 0 {
			t.Errorf("the view change of replica %d has proofs in the new view", c.Signer)
		}
	}
	if prepared != 5 || len(led.Proofs) != 1 {
		t.Errorf("%d certificates are named and %d proven, want 5 and 1", prepared, len(led.Proofs))
	}
}

func TestNewViewThatContradictsADecisionIsNotPrepared(t *testing.T) {
	g := newGroup(t, 4, 1)
	g.receive(3, 0, g.preprepare(0, 0, value(1)))
	for _, from := range []types.NodeID{0, 1, 2} {
		g.receive(3, from, Commit{Digest: digestOf(value(1))})
	}
	g.inFlight = nil
	g.receive(3, 1, NewView{View: 1, Changes: []SignedChange{g.shown(0, 1), g.shown(1, 1), g.shown(2, 1)}})
	if got := g.stats[3].Contradicted; got != 1 || len(g.inFlight) > 0 {
		t.Errorf("%d contradictions counted, %d messages sent, want 1 and 0", got, len(g.inFlight))
	}
}

func TestDeposedLeaderProposesNothing(t *testing.T) {
	g := newGroup(t, 4, 1)
	g.need(0, 0)
	g.expire(0)
	g.inFlight = nil
	g.propose(0, 0, value(1))
	if len(g.inFlight) > 0 || !g.deposed[0] {
		t.Errorf("%d messages sent, log told %v, want none and true", len(g.inFlight), g.deposed[0])
	}
}

func TestTimeoutEndsGrowing(t *testing.T) {
	g := newGroup(t, 4, 1)
	for view, want := range map[types.View]time.Duration{16: 1 << 16 * time.Second, 17: patienceMax, 1 << 31: patienceMax} {
		g.nodes[0].view = view
		if got := g.nodes[0].patience(); got != want {
			t.Errorf("view %d has %v, want %v", view, got, want)
		}
	}
}

func TestClosedInstanceLeavesNoTimer(t *testing.T) {
	g := newGroup(t, 4, 1)
	g.need(0, 3)
	g.apply(3, types.CloseSegment{})
	if g.patience(3) != nil {
		t.Error("a timer is still set")
	}
}

// Agreement across views (CL02, section 4.6), and that everything decides once
// timers are left to those who wait: random orders, repetition, timeouts at bad
// moments, and in half of the runs a leader that equivocates and then is silent.
func TestAgreementUnderRandomSchedules(t *testing.T) {
	var views uint64
	for seed := range uint64(300) {
		views += runSchedule(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if views == 0 {
		t.Error("no run changed a view, so the test shows nothing")
	}
}

func runSchedule(t *testing.T, seed uint64) (views uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	n := 4 + 3*rng.IntN(2)
	g := newGroup(t, n, 2)
	correct := g.members.Nodes()
	if rng.IntN(2) == 0 {
		correct = correct[1:]
		g.lost = func(p packet) bool { return p.from == 0 || p.to == 0 }
		for _, to := range correct {
			g.receive(to, 0, g.preprepare(0, 0, value(1+rng.IntN(2))))
			if rng.IntN(2) == 0 {
				g.receive(to, 0, Commit{Digest: digestOf(value(1 + rng.IntN(2)))})
			}
		}
	} else {
		g.propose(0, 0, value(1))
	}
	g.need(types.SeqNr(n), correct...)
	g.shuffle(rng, rng.IntN(4*n))
	for range 20 * n { // Each failed view costs every replica one timeout.
		for _, id := range correct {
			if g.patience(id) != nil && rng.IntN(2) == 0 {
				g.expire(id)
			}
		}
		g.shuffle(rng, 0)
	}
	for _, id := range correct {
		views += g.stats[id].ViewChanges
		for _, seq := range g.segment.Slots {
			want := g.decided[correct[0]][seq]
			g.wantDecided(seq, &want, id)
		}
	}
	return views
}

func ExampleInstance_leader() {
	g := newGroup(nil, 4, 1)
	for v := range types.View(5) {
		fmt.Print(g.nodes[0].leader(v), " ")
	}
	// Output: 0 1 2 3 0
}

func TestCommitsOfAPastViewStillDecide(t *testing.T) {
	g := newGroup(t, 4, 1)
	g.receive(3, 0, g.preprepare(0, 0, value(1)))
	g.receive(3, 0, Commit{Digest: digestOf(value(1))})
	g.expire(3)
	g.receive(3, 1, Commit{Digest: digestOf(value(1))})
	g.receive(3, 2, Commit{Digest: digestOf(value(1))})
	want := value(1)
	g.wantDecided(0, &want, 3)
}

// The view change that came directly vouches for no other one in a new view.
func TestNewViewMayNotSwapAViewChange(t *testing.T) {
	g := newGroup(t, 4, 1)
	with := g.change(2, 1, g.prepared(0, 0, value(1), 0, 1, 2))
	g.receive(3, 2, with)
	without := with
	without.Prepared = nil
	g.receive(3, 1, NewView{View: 1, Changes: []SignedChange{g.shown(0, 1), g.shown(1, 1), {2, without}}})
	if got := *g.stats[3]; got != (Stats{BadSignature: 1}) {
		t.Errorf("stats %+v, want one bad signature", got)
	}
}

// A leader of a view to come has one timeout, whatever is decided meanwhile.
func TestDecisionBeforeANewViewGivesItsLeaderNoMoreTime(t *testing.T) {
	g := newGroup(t, 4, 2)
	g.receive(3, 0, g.preprepare(0, 0, value(1)))
	g.need(4, 3)
	g.receive(3, 0, g.change(0, 1))
	g.receive(3, 2, g.change(2, 1)) // A quorum with its own; leader 1 is silent.
	before := g.patience(3).Fire.Body
	for _, from := range []types.NodeID{0, 1, 2} {
		g.receive(3, from, Commit{Digest: digestOf(value(1))})
	}
	if len(g.decided[3]) != 1 || g.patience(3) == nil || g.patience(3).Fire.Body != before {
		t.Errorf("%d slots decided, timer %+v, want 1 and the timer as it was", len(g.decided[3]), g.timers[3])
	}
}

// Found by simulation: the leader of view 1 crashed when its new view had reached
// one replica only. That one was in view 1 and had no view change to send again;
// the two others never heard of a third that left, and waited for ever.
func TestVotesInALaterViewShowThatAQuorumHasLeft(t *testing.T) {
	g := newGroup(t, 4, 1)
	g.lost = func(packet) bool { return true }
	g.need(0, 0)
	g.expire(0)
	g.receive(0, 2, g.change(2, 1))
	if g.patience(0) != nil {
		t.Fatal("replica 0 gives the leader of view 1 its time, and only two have left view 0")
	}
	g.receive(0, 3, g.prepare(3, 1, 0, types.Proposal{}))
	if g.patience(0) == nil {
		t.Error("three have left view 0, and replica 0 would wait for the leader of view 1 for ever")
	}
}
