package simtest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/availability"
	"github.com/perfgate/perfgate/trantor/checkpoint"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/ordering/pbft"
	"github.com/perfgate/perfgate/trantor/types"
)

// at is an event that a replica applies.
type at struct {
	node types.NodeID
	body mir.Body
}

func tx(no int, payload string) types.Tx {
	return types.Tx{TxID: types.TxID{Client: 1, No: types.TxNo(no)}, Payload: []byte(payload)}
}

func value(no int) types.Proposal {
	return types.Proposal{Certs: []types.Certificate{{Creator: types.NodeID(no)}}}
}

// stable is a checkpoint of the snapshot that these replicas signed.
func stable(e types.Epoch, snapshot string, ids ...types.NodeID) types.StableCheckpoint {
	s := types.StableCheckpoint{Epoch: e, Digest: types.SnapshotDigest([]byte(snapshot))}
	for _, id := range ids {
		sig := crypto.NewSimulated(1, id, 4).Sign(checkpoint.DomainVote, checkpoint.Statement(e, s.Digest))
		s.Sigs = append(s.Sigs, types.Signature{Signer: id, Sig: sig})
	}
	return s
}

func snapshot(e types.Epoch, data string) types.Snapshot {
	return types.Snapshot{Epoch: e, Data: []byte(data)}
}

// prepare is a message to segment 7.
func prepare(view types.View, no int) mir.Send {
	return mir.Send{Sub: 7, Msg: pbft.Prepare{View: view, Seq: 4, Digest: digestOf(value(no))}}
}

func commit(from types.NodeID, view types.View, no int) mir.Received {
	return mir.Received{From: from, Msg: pbft.Commit{View: view, Seq: 4, Digest: digestOf(value(no))}}
}

// decided is how replica id comes to decide value no at position 4.
func decided(id types.NodeID, no int) []at {
	return []at{
		{id, commit(0, 0, no)}, {id, commit(1, 0, no)}, {id, commit(2, 0, no)},
		{id, types.SlotDecided{Seq: 4, Proposal: value(no)}},
	}
}

func newTestChecker() *Checker {
	s := calm(4)
	s.Params.ClientOrder = true
	s.Byzantine = []Villain{{Node: 3}}
	s.Crashes = []Crash{{Node: 2, Down: Forever}}
	return NewChecker(s)
}

func observe(c *Checker, events []at) error {
	for i, e := range events {
		if _, again := e.body.(restart); again {
			c.Restarted(e.node)
			continue
		}
		step := sim.Step{N: uint64(i + 1), Node: e.node, Event: mir.Event{To: 1, Sub: 7, Body: e.body}}
		if err := c.Observe(step); err != nil {
			return err
		}
	}
	return nil
}

// restart stands for a crash and another life.
type restart struct{}

func (restart) EventName() string { return "test.Restart" }

func join(parts ...[]at) (all []at) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// A checker that catches nothing would pass every sweep.
func TestCheckerCatchesEachBrokenInvariant(t *testing.T) {
	submit := at{0, types.Submit{Tx: tx(0, "a")}}
	deliver := func(node types.NodeID, seq types.SeqNr, x types.Tx) at {
		return at{node, types.Delivered{Seq: seq, Tx: x}}
	}
	ack := func(no types.BatchNo, data string) mir.Send {
		return mir.Send{To: []types.NodeID{3}, Msg: availability.Ack{No: no, Batch: types.HashBatch([]byte(data))}}
	}
	hold := func(data string) types.Persist {
		return types.Persist{Puts: []types.Record{{Key: []byte{types.RecordsAvailability}, Value: []byte(data)}}}
	}
	carrying := func(data string) types.Proposal {
		return types.Proposal{Certs: []types.Certificate{{Creator: 3, No: 1, Batch: types.HashBatch([]byte(data))}}}
	}
	accept := func(p types.Proposal) []at {
		return []at{
			{1, mir.Received{From: 3, Msg: pbft.PrePrepare{Proposal: p}}},
			{1, mir.Send{Sub: 7, Msg: pbft.Prepare{Digest: digestOf(p)}}},
		}
	}
	config := func(weights ...uint64) types.EpochConfig {
		c := types.WeightedConfiguration(weights)
		return types.EpochConfig{Epoch: 9, Config: c, Members: must(c.Quorums())}
	}
	for _, tc := range []struct {
		rule   string // "" where nothing is broken.
		events []at
	}{
		{"agreement", join(decided(0, 1), decided(1, 2))},
		{"agreement", []at{{0, types.Ordered{Seq: 0, Proposal: value(1)}}, {1, types.Ordered{Seq: 0}}}},
		{"", join(decided(0, 1), decided(1, 1), decided(3, 2))},
		{"a gap", []at{{0, types.Ordered{Seq: 0}}, {0, types.Ordered{Seq: 2}}}},
		{"a gap", []at{{0, types.Ordered{Seq: 0}}, {0, types.Ordered{Seq: 0}}}},
		{"", []at{{0, types.Ordered{Seq: 0}}, {0, restart{}}, {0, types.Ordered{Seq: 0}}}},
		{"agreement", []at{{0, types.Ordered{Seq: 0}}, {0, restart{}}, {0, types.Ordered{Seq: 0, Proposal: value(1)}}}},
		{"middle of an epoch", []at{{0, types.Ordered{Seq: 0}}, {0, restart{}}, {0, types.Ordered{Seq: 1}}}},

		{"decision by a quorum", []at{{0, types.SlotDecided{Seq: 4, Proposal: value(1)}}}},
		{"decision by a quorum", []at{
			{0, commit(1, 0, 1)}, {0, commit(2, 0, 1)}, {0, commit(3, 1, 1)}, // Of two views.
			{0, types.SlotDecided{Seq: 4, Proposal: value(1)}}}},
		{"", []at{
			{0, mir.Received{From: 1, Msg: pbft.Decision{Seq: 4, Proposal: value(1)}}},
			{0, mir.Received{From: 3, Msg: pbft.Decision{Seq: 4, Proposal: value(1)}}},
			{0, types.SlotDecided{Seq: 4, Proposal: value(1)}}}},

		{"", []at{submit, deliver(0, 5, tx(0, "a")), deliver(1, 5, tx(0, "a"))}},
		{"execution", []at{submit, {0, types.Submit{Tx: tx(1, "b")}}, deliver(0, 5, tx(0, "a")), deliver(1, 5, tx(1, "b"))}},
		{"execution", []at{submit, deliver(0, 5, tx(0, "a")), deliver(1, 6, tx(0, "a"))}},
		{"no duplicate delivery", []at{submit, deliver(0, 5, tx(0, "a")), deliver(0, 6, tx(0, "a"))}},
		{"validity", []at{submit, deliver(0, 5, tx(1, "a"))}},
		{"validity", []at{submit, deliver(0, 5, tx(0, "b"))}},
		{"validity", []at{submit, deliver(0, 5, tx(0, "a")), deliver(1, 5, tx(0, "b"))}},
		{"client order", []at{{0, types.Submit{Tx: tx(1, "b")}}, deliver(0, 5, tx(1, "b"))}},
		{"execution", []at{submit, {0, snapshot(0, "a")}, deliver(1, 5, tx(0, "a")), {1, snapshot(0, "a")}}},

		{"checkpoint integrity", []at{{0, snapshot(0, "a")}, {1, snapshot(0, "b")}}},
		{"", []at{{0, snapshot(3, "a")}, {0, stable(3, "a", 0, 1, 2)}, {1, stable(3, "a", 1, 2, 3)}}},
		{"checkpoint integrity", []at{{0, snapshot(3, "a")}, {0, stable(3, "a", 0, 1)}}},
		{"checkpoint integrity", []at{{0, stable(3, "a", 0, 1, 2)}}},
		{"checkpoint integrity", []at{{0, snapshot(3, "a")}, {0, stable(3, "b", 0, 1, 2)}}},
		{"checkpoint integrity", []at{{0, config(1, 1, 1, 7)}, {0, snapshot(9, "a")}, {0, stable(9, "a", 0, 1, 2)}}},
		{"checkpoint integrity", []at{{0, snapshot(3, "a")},
			{1, types.InstallSnapshot{Checkpoint: stable(3, "a"), Data: []byte("b")}}}},
		{"agreement on the members", []at{{0, config(1, 1, 1, 1)}, {1, config(1, 1, 1, 2)}}},
		{"state transfer", []at{{0, types.Restored{Epoch: 2, Next: 48}}}},

		{"no contradiction", []at{{1, prepare(2, 1)}, {1, prepare(2, 2)}}},
		{"no contradiction", []at{{1, prepare(2, 1)}, {1, restart{}}, {1, prepare(2, 2)}}},
		{"no contradiction", []at{{1, mir.Send{Sub: 7, Msg: pbft.PrePrepare{Seq: 4, Proposal: value(1)}}}, {1, prepare(0, 2)}}},
		{"no contradiction", []at{{1, mir.Send{Sub: 7, Msg: pbft.ViewChange{View: 3}}}, {1, restart{}}, {1, prepare(2, 2)}}},
		{"", []at{{1, prepare(0, 1)}, {1, prepare(1, 2)}, {2, prepare(0, 2)}}},
		{"no contradiction", []at{
			{1, mir.Send{Msg: checkpoint.Vote{Epoch: 1, Digest: types.Digest{1}}}}, {1, restart{}},
			{1, mir.Send{Msg: checkpoint.Vote{Epoch: 1, Digest: types.Digest{2}}}}}},
		{"no contradiction", []at{{1, ack(4, "a")}, {1, ack(4, "b")}}},
		{"", []at{{1, ack(4, "a")}, {1, ack(4, "")}, {1, ack(5, "b")}}},

		{"correct holder", accept(carrying("a"))},
		{"", append([]at{{2, hold("a")}}, accept(carrying("a"))...)},
		{"correct holder", append([]at{{3, hold("a")}}, accept(carrying("a"))...)},
	} {
		err := observe(newTestChecker(), tc.events)
		switch {
		case tc.rule == "" && err != nil:
			t.Errorf("nothing is broken in %+v, error %v", tc.events, err)
		case tc.rule != "" && (err == nil || !strings.Contains(err.Error(), tc.rule)):
			t.Errorf("%+v breaks %q, error %v", tc.events, tc.rule, err)
		}
	}
}

func TestCheckerKnowsWhatIsMissing(t *testing.T) {
	c := newTestChecker() // Replicas 0 and 1 are live; 2 crashes some time, 3 is faulty.
	for _, step := range []struct {
		event at
		want  int
	}{
		{at{2, types.Submit{Tx: tx(0, "a")}}, 0},
		{at{2, types.SubmitResult{ID: tx(0, "a").TxID}}, 0}, // It may take the transaction with it.
		{at{0, types.Delivered{Seq: 0, Tx: tx(0, "a")}}, 0},
		{at{0, types.SubmitResult{ID: tx(0, "a").TxID, Err: errors.New("no")}}, 0},
		{at{1, types.SubmitResult{ID: tx(0, "a").TxID}}, 1}, // Replica 0 has it.
		{at{0, types.SubmitResult{ID: tx(0, "a").TxID}}, 1},
		{at{2, types.Delivered{Seq: 0, Tx: tx(0, "a")}}, 1},
		{at{1, types.Delivered{Seq: 0, Tx: tx(0, "a")}}, 0},
		{at{0, restart{}}, 0},
		{at{0, types.Ordered{Seq: 0}}, 1}, // It does all of it again.
		{at{0, types.Delivered{Seq: 0, Tx: tx(0, "a")}}, 0},
	} {
		if err := observe(c, []at{step.event}); err != nil {
			t.Fatal(err)
		}
		if got := c.Missing(); got != step.want {
			t.Errorf("%d missing after %s at replica %d, want %d", got, step.event.body.EventName(), step.event.node, step.want)
		}
	}
	c.Require(tx(1, "b"))
	if got := c.Missing(); got != 2 {
		t.Errorf("%d missing of a transaction that a client insists on, want 2", got)
	}
}

// A system whose replicas may not talk fails the liveness check.
func TestLostLivenessIsCaught(t *testing.T) {
	s := halves()
	s.Partitions[0].Heal = sim.Forever
	if _, err := Run(s); err == nil || !strings.Contains(err.Error(), "deliveries are missing") {
		t.Errorf("error %v, want one that says what is missing", err)
	}
}

func TestTrueQuorumSurvivesTheSamePartition(t *testing.T) {
	if r, err := Run(halves()); err != nil || r.Deliveries == 0 {
		t.Errorf("%d deliveries, error %v", r.Deliveries, err)
	}
}

// halves is four replicas of which two and two cannot talk while load comes.
func halves() Scenario {
	s := calm(4)
	s.Params.EpochLength = 32
	s.Partitions = []sim.Partition{{Heal: 3 * time.Second, Side: []types.NodeID{0, 1}}}
	s.FaultsEnd = 3 * time.Second
	s.load(20, 4)
	return s
}

// load is transactions of one client, 10 ms apart, each at one of n replicas.
func (s *Scenario) load(txs, n int) {
	for no := range txs {
		s.Txs = append(s.Txs, Submission{
			At: time.Duration(no) * 10 * time.Millisecond, Nodes: []types.NodeID{types.NodeID(no % n)}, Tx: tx(no, "x"),
		})
	}
}
