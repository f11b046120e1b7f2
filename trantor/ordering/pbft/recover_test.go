package pbft

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/perfgate/perfgate/trantor/types"
)

// A crash at every write of each replica, with the write lost or kept, in a run
// that has everything: slot 0 is decided in view 0, slot 4 prepared there and
// decided in view 1, slot 8 never proposed, and replica 3 hears of no commit
// before the view change. The harness fails where a replica says something that
// contradicts what it said in an earlier life, and everybody decides in the end.
func TestCrashAtEveryWriteContradictsNothing(t *testing.T) {
	writes := 0
	for id := range types.NodeID(4) {
		for _, kept := range []bool{false, true} {
			for at := 0; ; at++ {
				g := newGroup(t, 4, 3)
				n := 0
				g.fails = func(by types.NodeID) (bool, bool) {
					if by != id {
						return false, true
					}
					n++
					return n == at+1, n != at+1 || kept
				}
				runStory(g)
				if t.Failed() {
					t.Fatalf("replica %d crashed at its write %d, kept %v", id, at, kept)
				}
				if n <= at {
					break // It has no such write.
				}
				writes++
			}
		}
	}
	if least := 2 * 4 * 10; writes < least {
		t.Errorf("only %d crashes, want at least %d: the test shows little", writes, least)
	}
}

func runStory(g *group) {
	a, b := value(1), value(2)
	g.propose(0, 0, a)
	g.run()
	g.lost = func(p packet) bool {
		_, commit := p.msg.(Commit)
		return commit
	}
	offer(g, 4, b)
	g.run()
	g.lost = nil
	for _, id := range g.members.Nodes() {
		g.need(8, id)
		if g.nodes[id].view == 0 {
			g.expire(id)
		}
	}
	g.run()
	finish(g)
	for id := range g.nodes {
		got, ok := g.decided[id][4]
		if !ok || digestOf(got) != digestOf(b) && digestOf(got) != emptyDigest {
			g.t.Errorf("replica %d decided slot 4: %s", id, showValue(got))
		}
	}
}

// offer proposes what the leader has not proposed in an earlier life.
func offer(g *group, seq types.SeqNr, p types.Proposal) {
	if s := g.nodes[0].mustSlot(seq); !s.offered {
		g.propose(0, seq, p)
	}
}

// finish needs all slots everywhere and lets time pass until everybody decided.
func finish(g *group) {
	ids := g.members.Nodes()
	for _, seq := range g.segment.Slots {
		g.need(seq, ids...)
	}
	for range 12 {
		g.settle(3)
		for _, id := range ids {
			if g.patience(id) != nil {
				g.expire(id)
			}
		}
		g.run()
	}
	for _, seq := range g.segment.Slots {
		for _, id := range ids {
			want := g.decided[0][seq]
			if !g.latest[id][seq] {
				g.t.Errorf("replica %d did not decide slot %d in its last life", id, seq)
			}
			g.wantDecided(seq, &want, id)
		}
	}
}

// Power fails for all at once, at every moment of a run.
func TestAllCrashTogetherAndDecideTheSame(t *testing.T) {
	for after := 0; after < 60; after += 3 {
		g := newGroup(t, 4, 2)
		g.propose(0, 0, value(1))
		for range after {
			if len(g.inFlight) > 0 {
				g.deliver(0)
			}
		}
		g.inFlight = nil // What was on its way is gone with the connections.
		for _, id := range g.members.Nodes() {
			g.restart(id)
		}
		g.run()
		want := value(1)
		g.settle(3)
		g.wantDecided(0, &want, 0, 1, 2, 3)
	}
}

// The random schedules again, with crashes at one write in fifteen.
func TestAgreementUnderRandomSchedulesAndCrashes(t *testing.T) {
	crashes := 0
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 1))
		g := newGroup(t, 4, 2)
		left := 6
		g.fails = func(types.NodeID) (bool, bool) {
			if left > 0 && rng.IntN(15) == 0 {
				left--
				crashes++
				return true, rng.IntN(2) == 0
			}
			return false, true
		}
		g.lost = func(packet) bool { return rng.IntN(5) == 0 }
		g.propose(0, 0, value(1))
		g.need(4, g.members.Nodes()...)
		g.shuffle(rng, rng.IntN(16))
		left, g.lost = 0, nil
		finish(g)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if crashes < 100 {
		t.Errorf("only %d crashes: the test shows little", crashes)
	}
}

func TestRecoveryInTheMiddleOfASlot(t *testing.T) {
	g := newGroup(t, 4, 1)
	g.lost = func(p packet) bool {
		_, commit := p.msg.(Commit)
		return commit
	}
	g.propose(0, 0, value(1))
	g.run()
	g.lost = nil
	g.restart(0)
	g.restart(3)
	g.run()
	want := value(1)
	g.settle(2)
	g.wantDecided(0, &want, 0, 1, 2, 3)
	g.checkTrace(`All four replicas have prepared slot 0, and every commit was lost. Replicas 0, the leader, and
3 restart from what they wrote down. Each says again what it had said, without signing
anything anew, and asks for the slot. At the second tick the other two do so too.`)
}

// Nobody else can make the new view of a leader that crashed when it had written it
// down: the others wait for it, or for the view after it.
func TestRestartedLeaderSendsItsNewViewAgain(t *testing.T) {
	g := newGroup(t, 4, 1)
	g.lost = func(p packet) bool {
		_, newView := p.msg.(NewView)
		return p.from == 0 || newView
	}
	g.need(0, 1, 2, 3)
	g.expire(1, 2, 3)
	g.run()
	g.lost = func(p packet) bool { return p.from == 0 }
	g.restart(1)
	g.settle(2)
	for _, id := range []types.NodeID{2, 3} {
		if i := g.nodes[id]; i.view != 1 || !i.active {
			t.Errorf("replica %d is in view %d, active %v: the new view did not come", id, i.view, i.active)
		}
	}
	g.wantDecided(0, &empty, 1, 2, 3)
}

// After a restart the leader told another value than before: it equivocates, and
// the earlier signature binds.
func TestRestartedReplicaKeepsToItsVote(t *testing.T) {
	g := newGroup(t, 4, 1)
	g.receive(3, 0, g.preprepare(0, 0, value(1)))
	g.restart(3)
	g.receive(3, 0, g.preprepare(0, 0, value(2)))
	g.receive(3, 1, g.prepare(1, 0, 0, value(2)))
	g.receive(3, 2, g.prepare(2, 0, 0, value(2)))
	if got := g.stats[3].Equivocation; got != 1 || g.nodes[3].slots[0].committed {
		t.Errorf("equivocations %d, committed %v, want 1 and false", got, g.nodes[3].slots[0].committed)
	}
}

func TestRecoverTellsWhichSlotsWereProposed(t *testing.T) {
	g := newGroup(t, 4, 3)
	g.propose(0, 0, value(1))
	g.propose(0, 4, value(2))
	i := g.newInstance(0)
	got, err := i.Recover(g.records(0))
	if err != nil || fmt.Sprint(got) != "[0 4]" {
		t.Errorf("proposed %v, error %v, want [0 4]", got, err)
	}
}

func TestForeignOrMalformedRecordsAreRefused(t *testing.T) {
	g := newGroup(t, 4, 1)
	g.propose(0, 0, value(1))
	g.run()
	good := g.records(0)
	other := g.segment
	other.Leader = 1
	high := &signedStatement{view: 3, digest: emptyDigest}
	for name, bad := range map[string]types.Record{
		"another segment":          viewRecord(other, 1),
		"a slot that is not":       preparedRecord(g.segment, g.prepared(0, 4, value(1), 0, 1, 2)),
		"view 0":                   viewRecord(g.segment, 0),
		"a vote in a view to come": signedRecord(g.segment, 0, high, nil),
		"a new view without a proof": newViewRecord(g.segment,
			NewView{View: 1, Changes: []SignedChange{g.shown(1, 1, g.prepared(0, 4, value(3), 0, 1, 2))}}),
		"an unknown kind":   {Key: recordKey(g.segment, 9, 0)},
		"a short key":       {Key: []byte("o")},
		"a truncated value": {Key: good[0].Key, Value: good[0].Value[:5]},
		"a long value":      {Key: good[0].Key, Value: append(bytes.Clone(good[0].Value), 0)},
	} {
		if _, err := g.newInstance(0).Recover([]types.Record{bad}); err == nil {
			t.Errorf("a record of %s was accepted", name)
		}
	}
	if _, err := g.newInstance(0).Recover(good); err != nil {
		t.Errorf("good records: %v", err)
	}
}

// Whatever decodes is encoded to the same bytes, and an instance that takes it
// up neither panics at it nor at booting with it.
func FuzzRecords(f *testing.F) {
	g := newGroup(nil, 4, 2)
	cert := g.prepared(1, 4, value(3), 0, 1, 2)
	p := value(1)
	for _, rec := range []types.Record{
		viewRecord(g.segment, 3),
		newViewRecord(g.segment, NewView{View: 2, Changes: []SignedChange{g.shown(1, 2, cert)}, Proofs: []Proof{cert.Proof}}),
		signedRecord(g.segment, 4, &signedStatement{digest: digestOf(p), sig: []byte{1}}, &p),
		signedRecord(g.segment, 0, &signedStatement{view: 2, digest: emptyDigest, sig: []byte{1}}, nil),
		preparedRecord(g.segment, cert),
	} {
		f.Add(rec.Key, rec.Value)
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		rec := types.Record{Key: key, Value: value}
		r, err := decodeRecord(rec)
		if err != nil {
			return
		}
		segment := types.Segment{Epoch: r.epoch, Leader: r.leader}
		again := map[byte]func() types.Record{
			recordView:     func() types.Record { return viewRecord(segment, r.view) },
			recordNewView:  func() types.Record { return newViewRecord(segment, r.newView) },
			recordSigned:   func() types.Record { return signedRecord(segment, r.seq, &r.signed, r.proposal) },
			recordPrepared: func() types.Record { return preparedRecord(segment, r.prepared) },
		}[r.kind]()
		if !bytes.Equal(again.Key, key) || !bytes.Equal(again.Value, value) {
			t.Fatalf("%x: %x decodes to what encodes to %x: %x", key, value, again.Key, again.Value)
		}
		g := newGroup(t, 4, 2)
		if _, err := g.nodes[0].Recover([]types.Record{rec}); err == nil {
			g.apply(0, types.Boot{})
		}
	})
}
