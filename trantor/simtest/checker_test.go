package simtest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/checkpoint"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/ordering/pbft"
	"github.com/perfgate/perfgate/trantor/quorum"
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

// stable is a checkpoint that these replicas signed.
func stable(e types.Epoch, no byte, ids ...types.NodeID) types.StableCheckpoint {
	s := types.StableCheckpoint{Epoch: e, Digest: types.Digest{no}}
	for _, id := range ids {
		sig := crypto.NewSimulated(1, id, 4).Sign(checkpoint.DomainVote, checkpoint.Statement(e, s.Digest))
		s.Sigs = append(s.Sigs, types.Signature{Signer: id, Sig: sig})
	}
	return s
}

func newTestChecker() *Checker {
	return NewChecker(quorum.Equal(4), crypto.NewSimulated(1, 0, 4), []types.NodeID{3}, []types.NodeID{2})
}

func observe(c *Checker, events []at) error {
	for _, e := range events {
		if err := c.Observe(sim.Step{Node: e.node, Event: mir.Event{To: 1, Sub: 1, Body: e.body}}); err != nil {
			return err
		}
	}
	return nil
}

// A checker that catches nothing would pass every sweep.
func TestCheckerCatchesEachBrokenInvariant(t *testing.T) {
	submit := at{0, types.Submit{Tx: tx(0, "a")}}
	deliver := func(node types.NodeID, seq types.SeqNr, x types.Tx) at {
		return at{node, types.Delivered{Seq: seq, Tx: x}}
	}
	for _, tc := range []struct {
		rule   string // "" where nothing is broken.
		events []at
	}{
		{"agreement", []at{{0, types.SlotDecided{Seq: 4, Proposal: value(1)}}, {1, types.SlotDecided{Seq: 4, Proposal: value(2)}}}},
		{"agreement", []at{{0, types.SlotDecided{Seq: 0, Proposal: value(1)}}, {1, types.Ordered{Seq: 0}}}},
		{"", []at{{0, types.SlotDecided{Seq: 4, Proposal: value(1)}}, {3, types.SlotDecided{Seq: 4, Proposal: value(2)}}}},
		{"no gaps", []at{{0, types.Ordered{Seq: 0}}, {0, types.Ordered{Seq: 2}}}},
		{"no gaps", []at{{0, types.Ordered{Seq: 0}}, {0, types.Ordered{Seq: 0}}}},
		{"", []at{submit, deliver(0, 5, tx(0, "a")), deliver(1, 5, tx(0, "a"))}},
		{"agreement", []at{submit, {0, types.Submit{Tx: tx(1, "b")}}, deliver(0, 5, tx(0, "a")), deliver(1, 5, tx(1, "b"))}},
		{"agreement", []at{submit, deliver(0, 5, tx(0, "a")), deliver(1, 6, tx(0, "a"))}},
		{"no duplicate delivery", []at{submit, deliver(0, 5, tx(0, "a")), deliver(0, 6, tx(0, "a"))}},
		{"validity", []at{submit, deliver(0, 5, tx(1, "a"))}},
		{"validity", []at{submit, deliver(0, 5, tx(0, "b"))}},
		{"validity", []at{submit, deliver(0, 5, tx(0, "a")), deliver(1, 5, tx(0, "b"))}},
		{"snapshot agreement", []at{{0, types.Snapshot{Data: []byte("a")}}, {1, types.Snapshot{Data: []byte("b")}}}},
		{"", []at{{0, stable(3, 1, 0, 1, 2)}, {1, stable(3, 1, 1, 2, 3)}}},
		{"checkpoint integrity", []at{{0, stable(3, 1, 0, 1)}}},
		{"checkpoint integrity", []at{{0, stable(3, 1, 0, 1, 2)}, {1, stable(3, 2, 1, 2, 3)}}},
		{"one prepare", []at{
			{1, mir.Send{Sub: 7, Msg: pbft.Prepare{View: 2, Seq: 4, Digest: digestOf(value(1))}}},
			{1, mir.Send{Sub: 7, Msg: pbft.Prepare{View: 2, Seq: 4, Digest: digestOf(value(2))}}}}},
		{"one prepare", []at{
			{1, mir.Send{Sub: 7, Msg: pbft.PrePrepare{Seq: 4, Proposal: value(1)}}},
			{1, mir.Send{Sub: 7, Msg: pbft.Prepare{View: 0, Seq: 4, Digest: digestOf(value(2))}}}}},
		{"", []at{
			{1, mir.Send{Sub: 7, Msg: pbft.PrePrepare{Seq: 4, Proposal: value(1)}}},
			{1, mir.Send{Sub: 7, Msg: pbft.Prepare{View: 1, Seq: 4, Digest: digestOf(value(2))}}},
			{2, mir.Send{Sub: 7, Msg: pbft.Prepare{View: 0, Seq: 4, Digest: digestOf(value(2))}}}}},
	} {
		err := observe(newTestChecker(), tc.events)
		switch {
		case tc.rule == "" && err != nil:
			t.Errorf("nothing is broken in %+v, error %v", tc.events, err)
		case tc.rule != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.rule)):
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
	} {
		if err := observe(c, []at{step.event}); err != nil {
			t.Fatal(err)
		}
		if got := c.Missing(); got != step.want {
			t.Errorf("%d missing after %s at replica %d, want %d", got, step.event.body.EventName(), step.event.node, step.want)
		}
	}
}

// Two halves that each believe to be a quorum decide differently, and the run
// ends there.
func TestBrokenQuorumIsCaught(t *testing.T) {
	s := halves(t)
	s.Genesis = func(id types.NodeID) types.Configuration {
		weights := []uint64{100, 100, 1, 1}
		if id >= 2 {
			weights = []uint64{1, 1, 100, 100}
		}
		return types.WeightedConfiguration(weights)
	}
	_, err := Run(s)
	var failure *sim.Failure
	if !errors.As(err, &failure) || !strings.HasPrefix(failure.Cause.Error(), "agreement broken") {
		t.Errorf("error %v, want one that names agreement", err)
	}
}

func TestTrueQuorumSurvivesTheSamePartition(t *testing.T) {
	if r, err := Run(halves(t)); err != nil || r.Deliveries == 0 {
		t.Errorf("%d deliveries, error %v", r.Deliveries, err)
	}
}

// A system whose replicas may not talk fails the liveness check.
func TestLostLivenessIsCaught(t *testing.T) {
	s := halves(t)
	s.Partitions[0].Heal = sim.Forever
	if _, err := Run(s); err == nil || !strings.Contains(err.Error(), "deliveries are missing") {
		t.Errorf("error %v, want one that says what is missing", err)
	}
}

// halves is four replicas of which two and two cannot talk while load comes.
func halves(t *testing.T) Scenario {
	t.Helper()
	s := Draw(0)
	s.N, s.Crashes, s.Byzantine = 4, nil, nil
	s.Params.EpochLength = 32
	s.Network = sim.Network{Latency: sim.Fixed(time.Millisecond)}
	s.Partitions = []sim.Partition{{Heal: 3 * time.Second, Side: []types.NodeID{0, 1}}}
	s.FaultsEnd = 3 * time.Second
	s.Txs = nil
	for no := range 20 {
		s.Txs = append(s.Txs, Submission{
			At: time.Duration(no) * 10 * time.Millisecond, Nodes: []types.NodeID{types.NodeID(no % 4)}, Tx: tx(no, "x"),
		})
	}
	return s
}
