package checkpoint

import (
	"testing"

	"github.com/perfgate/perfgate/internal/golden"
	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

func (b *bench) proof(e types.Epoch, data []byte, ids ...types.NodeID) Proof {
	return Proof{
		Checkpoint: b.certificateFor(e, data, ids...), Bytes: uint64(len(data)),
		Chunks: types.ChunkDigests(data), First: data[:min(len(data), types.SnapshotChunkBytes)],
	}
}

// history is a system of which the members change twice, completely in the end:
// the states of its epochs, and who signs them.
type history struct {
	states  [][]byte
	signers [][]types.NodeID
}

func newHistory() *history {
	first := types.EqualConfiguration(4)
	second := types.WeightedConfiguration([]uint64{0, 0, 1, 1, 1, 1})
	third := types.WeightedConfiguration([]uint64{0, 0, 0, 0, 1, 1, 1, 1})
	at := func(e int) types.Configuration {
		switch {
		case e < 20:
			return first
		case e < 40:
			return second
		}
		return third
	}
	h := &history{}
	for e := range 60 {
		var configs []types.Configuration
		for i := range configDelay {
			configs = append(configs, at(e+1+i))
		}
		h.states = append(h.states, state(types.Epoch(e), "data", configs...))
		members, err := at(e).Quorums()
		if err != nil {
			panic(err)
		}
		h.signers = append(h.signers, members.Nodes()[:3])
	}
	return h
}

func (h *history) certificate(b *bench, e types.Epoch) Certificate {
	return b.certificateFor(e, h.states[e], h.signers[e]...)
}

// witness is a replica that has seen it all, as an observer.
func (h *history) witness(t *testing.T) *bench {
	b := newBenchOf(t, 4, 11)
	for e, data := range h.states {
		b.apply(types.Snapshot{Epoch: types.Epoch(e), Data: data})
		b.receive(0, h.certificate(b, types.Epoch(e)))
	}
	if b.c.next != 60 {
		t.Fatalf("the witness is at epoch %d", b.c.next)
	}
	return b
}

// ask carries messages between a replica and the witness, replica 7, until
// nothing comes of them.
func (b *bench) ask(witness *bench, messages ...mir.Message) {
	for len(messages) > 0 {
		b.receive(7, messages[0])
		messages = messages[1:]
		for _, sent := range b.sent {
			witness.tick()
			witness.receive(b.node, sent.Msg)
			for _, answer := range witness.sent {
				messages = append(messages, answer.Msg)
			}
		}
	}
}

func TestReplicaThatSleptThroughChangesVerifiesStepByStep(t *testing.T) {
	h := newHistory()
	witness := h.witness(t)
	if got := len(witness.c.proofs); got != 2 {
		t.Errorf("%d proofs of two changes", got)
	}
	if err := witness.restart(); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, 4)
	b.ask(witness, h.certificate(b, 59))
	golden.Check(t, t.Name(), `Replica 3 knows the first members, 0 to 3. From epoch 20 on they are 2 to 5, from epoch 40
on 4 to 7. It gets a certificate that it cannot verify and asks its sender, which proves
one change after the other, each by members that were known before, and then shows the
latest certificate again.`, b.trace.Bytes())
	if b.c.next != 60 {
		t.Errorf("stable below %d, want 60", b.c.next)
	}
	if got := len(b.c.proofs); got != 2 {
		t.Errorf("%d proofs are handed on, want 2", got)
	}
}

func TestForgedProofsAreNotBelieved(t *testing.T) {
	h := newHistory()
	for name, forge := range map[string]func(b *bench, p *Proof){
		"another first chunk":  func(b *bench, p *Proof) { p.First = h.states[20] },
		"another list":         func(b *bench, p *Proof) { p.Chunks = types.ChunkDigests(h.states[20]) },
		"another size":         func(b *bench, p *Proof) { p.Bytes++ },
		"no chunk":             func(b *bench, p *Proof) { p.Chunks = nil },
		"signed by others":     func(b *bench, p *Proof) { *p = b.proof(15, h.states[15], 4, 5, 6) },
		"snapshot without one": func(b *bench, p *Proof) { *p = b.proof(15, []byte("x"), 0, 1, 2) },
		"of another epoch":     func(b *bench, p *Proof) { *p = b.proof(15, h.states[16], 0, 1, 2) },
	} {
		b := newBench(t, 4)
		b.receive(7, h.certificate(b, 59))
		p := b.proof(15, h.states[15], 0, 1, 2)
		forge(b, &p)
		b.receive(7, p)
		if b.c.next != 0 || b.c.Stats().BadSignature != 2 {
			t.Errorf("%s: stable below %d, stats %+v", name, b.c.next, b.c.Stats())
		}
	}
}

func TestProofsAreBounded(t *testing.T) {
	b := newBench(t, 4)
	for i := range proofsMax + 3 {
		var p types.Persist
		b.c.addProof(&proof{since: types.Epoch(i + 1)}, &p)
		b.persist(p)
	}
	if len(b.c.proofs) != proofsMax || len(b.disk) != proofsMax || b.c.proofs[0].since != 4 {
		t.Errorf("%d proofs from epoch %d on, %d records", len(b.c.proofs), b.c.proofs[0].since, len(b.disk))
	}
}

func TestReplicaThatIsToJoinAsksUntilItIsAMember(t *testing.T) {
	b := newBenchOf(t, 4, 4)
	b.apply(types.Boot{})
	for range 3 {
		b.want("to module 2: send ASK 0 knowing 4 to [0 1 2 3]")
		b.tick()
	}
	joined := types.EqualConfiguration(5)
	members, err := joined.Quorums()
	if err != nil {
		t.Fatal(err)
	}
	b.apply(types.EpochConfig{Epoch: configDelay, Config: joined, Members: members})
	b.tick()
	b.want("to module 2: send ASK 0 knowing 5 to [0 1 2 3]") // Its epoch has not come.
	b.receive(0, b.certificate(configDelay-1, "a", 0, 1, 2))
	b.tick()
	if b.want(); b.armed {
		t.Error("a member goes on asking")
	}
	left := types.WeightedConfiguration([]uint64{1, 1, 1, 1, 0})
	if members, err = left.Quorums(); err != nil {
		t.Fatal(err)
	}
	b.apply(types.EpochConfig{Epoch: configDelay + 1, Config: left, Members: members})
	b.receive(0, b.certificate(configDelay, "a", 0, 1, 2, 3))
	b.tick()
	if len(b.sent) == 0 {
		t.Error("one that has left does not ask whether it is back")
	}
}

func TestMemberAtGenesisIsSilentAtBoot(t *testing.T) {
	b := newBench(t, 4)
	b.apply(types.Boot{})
	if b.want(); b.armed {
		t.Error("a timer is set")
	}
}
