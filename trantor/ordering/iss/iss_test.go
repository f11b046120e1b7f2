package iss

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/internal/golden"
	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

const (
	selfModule     mir.ModuleID = 1
	netModule      mir.ModuleID = 2
	deliveryModule mir.ModuleID = 3
	timerModule    mir.ModuleID = 4
	storeModule    mir.ModuleID = 5
	mempoolModule  mir.ModuleID = 6
	availModule    mir.ModuleID = 7
)

// bench is the log of replica 1 of four, with instances that only record.
type bench struct {
	t     *testing.T
	log   *Log
	trace bytes.Buffer
	lines []string // What came of the latest input.

	proposed map[mir.SubID][]types.SeqNr // What instances say they had proposed before a restart.
}

type recorder struct {
	b       *bench
	segment types.Segment
}

func (r *recorder) Recover(records []types.Record) ([]types.SeqNr, error) {
	r.b.printf("instance %d/%d recovers %d records", r.segment.Epoch, r.segment.Leader, len(records))
	return r.b.proposed[SubOf(r.segment.Epoch, r.segment.Leader)], nil
}

// Apply implements mir.Module.
func (r *recorder) Apply(ev mir.Event, _ *mir.Out) {
	name := ev.Body.EventName()
	switch e := ev.Body.(type) {
	case mir.Received:
		name = fmt.Sprintf("%s from %d", e.Msg.EventName(), e.From)
	case types.Propose:
		name = fmt.Sprintf("proposal %s for slot %d", show(e.Proposal), e.Seq)
	case types.SlotNeeded:
		name = fmt.Sprintf("need of slot %d", e.Seq)
	}
	r.b.printf("instance %d/%d gets %s", r.segment.Epoch, r.segment.Leader, name)
}

func newBench(t *testing.T, change func(*Config)) *bench {
	b := &bench{t: t}
	cfg := Config{
		Node: 1, Members: quorum.Equal(4), ConfigDelay: 20, Self: selfModule, Net: netModule, Delivery: deliveryModule,
		Timer: timerModule, Store: storeModule, Mempool: mempoolModule, Availability: availModule,
		Policy: RoundRobin, EpochLength: 8, MaxCertsPerSlot: 2, OwnInFlightMax: 1, EpochsAheadMax: 2,
		HeartbeatAfter: time.Second, BufferedMax: 3, BufferedBytesMax: 100, HandedMax: 2,
		NewInstance: func(segment types.Segment, _ quorum.Membership, doublings int, sub mir.SubID) Instance {
			if sub != SubOf(segment.Epoch, segment.Leader) {
				t.Errorf("segment %d/%d has sub %d", segment.Epoch, segment.Leader, sub)
			}
			if doublings > 0 {
				b.printf("timeouts of segment %d/%d doubled %d times", segment.Epoch, segment.Leader, doublings)
			}
			return &recorder{b: b, segment: segment}
		},
		CheckRecord: func(types.Record) error { return nil },
		VerifyCert: func(_ quorum.Membership, c types.Certificate) error {
			if c.No == 99 {
				return errBadCert
			}
			return nil
		},
	}
	if change != nil {
		change(&cfg)
	}
	b.log = New(cfg)
	return b
}

func (b *bench) printf(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	b.lines = append(b.lines, line)
	fmt.Fprintln(&b.trace, line)
}

// apply hands an event to the log. What the log addresses to its own instances
// comes back to it, as it does in a node.
func (b *bench) apply(sub mir.SubID, body mir.Body) {
	b.lines = nil
	fmt.Fprintf(&b.trace, "> %s\n", describe(body))
	queue := []mir.Event{{To: selfModule, Sub: sub, Body: body}}
	for len(queue) > 0 {
		var out mir.Out
		b.log.Apply(queue[0], &out)
		queue = queue[1:]
		for _, ev := range out.Events() {
			switch e := ev.Body.(type) {
			case types.Ordered:
				b.printf("ordered %d: %s", e.Seq, show(e.Proposal))
			case types.EpochEnd:
				b.printf("end of epoch %d", e.Epoch)
			case types.EpochBegun:
				if ev.To == mempoolModule {
					b.printf("epoch %d begins, leaders %v", e.Epoch, e.Leaders)
				}
			case types.CertStale:
				b.printf("certificate %d is stale", e.Cert.Batch[0])
			case types.Persist:
				for _, r := range e.Deletes {
					b.printf("records of epochs %d to %d deleted", r.From[8], r.To[8]-1)
				}
			case mir.SetTimer:
				b.printf("heartbeat in %v", e.After)
			case mir.Send:
				b.printf("send %s to %v", describe(e.Msg), e.To)
			default:
				queue = append(queue, ev)
			}
		}
	}
}

func (b *bench) want(lines ...string) {
	b.t.Helper()
	if !slices.Equal(b.lines, lines) {
		b.t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(b.lines, "\n\t"), strings.Join(lines, "\n\t"))
	}
}

// ready makes certificate no ready.
func (b *bench) ready(no int) { b.apply(0, types.CertReady{Cert: cert(no)}) }

func (b *bench) decide(p types.Proposal, seqs ...types.SeqNr) {
	for _, seq := range seqs {
		b.apply(0, types.SlotDecided{Seq: seq, Proposal: p})
	}
}

// finishEpoch decides every slot of an epoch of 8 as empty.
func (b *bench) finishEpoch(e types.Epoch) {
	for i := range types.SeqNr(8) {
		b.decide(types.Proposal{Skip: true}, 8*types.SeqNr(e)+i)
	}
}

// cert is a certificate of replica 1.
func cert(no int) types.Certificate {
	return types.Certificate{
		Creator: 1, No: types.BatchNo(no), Batch: types.Digest{byte(no)}, Sigs: []types.Signature{{Signer: 0}, {Signer: 1}},
	}
}

var errBadCert = errors.New("no certificate with number 99 is valid")

func value(nos ...int) (p types.Proposal) {
	for _, no := range nos {
		p.Certs = append(p.Certs, cert(no))
	}
	return p
}

func show(p types.Proposal) string {
	if p.Skip {
		return "skipped"
	}
	nos := []byte{}
	for _, c := range p.Certs {
		nos = append(nos, c.Batch[0])
	}
	return fmt.Sprint(nos)
}

func describe(b mir.Body) string {
	switch e := b.(type) {
	case types.CertReady:
		return fmt.Sprintf("certificate %d", e.Cert.Batch[0])
	case types.SlotDecided:
		return fmt.Sprintf("slot %d decided: %s", e.Seq, show(e.Proposal))
	case types.SlotProposed:
		return fmt.Sprintf("slot %d proposed", e.Seq)
	case types.HeldSnapshot:
		return fmt.Sprintf("HELD %d", e.Checkpoint.Epoch)
	case types.StableCheckpoint:
		return fmt.Sprintf("checkpoint %d stable", e.Epoch)
	case types.LeaderDeposed:
		return fmt.Sprintf("leader %d/%d deposed", e.Epoch, e.Leader)
	case FinishEpoch:
		return fmt.Sprintf("FINISH-EPOCH %d", e.Epoch)
	case Status:
		return fmt.Sprintf("STATUS epoch %d, ordered below %d", e.Epoch, e.Ordered)
	case HandOver:
		return fmt.Sprintf("HANDOVER in epoch %d of %s", e.Epoch, show(types.Proposal{Certs: e.Certs}))
	case mir.Received:
		return fmt.Sprintf("%s from %d", describe(e.Msg), e.From)
	}
	return b.EventName()
}

// message is what an instance's peers might send.
type message struct{}

func (message) EventName() string { return "message" }

func (b *bench) receive(from types.NodeID, sub mir.SubID, m mir.Message) {
	b.apply(sub, mir.Received{From: from, Msg: m})
}

func TestIdleLogDoesNothing(t *testing.T) {
	b := newBench(t, nil)
	b.apply(0, types.StableCheckpoint{Epoch: 5})
	b.apply(0, types.LeaderDeposed{Epoch: 0, Leader: 1})
	b.receive(0, SubOf(0, 2), message{})
	b.want("instance 0/2 gets message from 0")
}

// ISS, section 4.1: every leader fills its own segment.
func TestCertificatesGoIntoTheNextOwnSlot(t *testing.T) {
	b := newBench(t, nil)
	b.ready(1)
	b.want("instance 0/1 gets proposal [1] for slot 1")
	b.ready(2)
	b.want() // One is in flight.
	b.ready(3)
	b.decide(value(1), 1)
	b.want("instance 0/1 gets proposal [2 3] for slot 5", "instance 0/0 gets need of slot 0")
}

func TestOwnProposalsInFlightAreBounded(t *testing.T) {
	b := newBench(t, func(c *Config) { c.EpochLength, c.OwnInFlightMax = 16, 3 })
	for no := range 4 {
		b.ready(no)
	}
	b.want()
	if got := len(b.log.inFlight); got != 3 {
		t.Errorf("%d proposals in flight, want 3", got)
	}
	b.decide(value(0), 1)
	if got := len(b.log.inFlight); got != 3 {
		t.Errorf("%d proposals in flight after a decision, want 3", got)
	}
}

func TestGapsAreFilledAtOnceAndSilentLeadersTimed(t *testing.T) {
	b := newBench(t, nil)
	b.apply(0, types.SlotProposed{Seq: 6})
	b.want(
		"instance 0/1 gets proposal skipped for slot 1",
		"instance 0/1 gets proposal skipped for slot 5",
		"instance 0/0 gets need of slot 0", "instance 0/1 gets need of slot 1",
		"instance 0/2 gets need of slot 2", "instance 0/3 gets need of slot 3",
		"instance 0/0 gets need of slot 4", "instance 0/1 gets need of slot 5",
		"instance 0/2 gets need of slot 6")
	b.apply(0, types.SlotProposed{Seq: 6})
	b.apply(0, types.SlotProposed{Seq: 2})
	b.want()
}

func TestNothingIsFilledAboveTheHighestProposal(t *testing.T) {
	b := newBench(t, nil)
	b.apply(0, types.SlotProposed{Seq: 0})
	b.want("instance 0/0 gets need of slot 0")
}

func TestSlotsAreOrderedWithoutGaps(t *testing.T) {
	b := newBench(t, nil)
	b.decide(value(7), 2)
	b.decide(types.Proposal{}, 1)
	b.decide(value(9), 0)
	b.want("ordered 0: [9]", "ordered 1: []", "ordered 2: [7]")
}

// An own certificate is proposed until some slot decides it.
func TestProposalThatLostItsSlotIsQueuedAgainFirst(t *testing.T) {
	b := newBench(t, nil)
	b.ready(1)
	b.ready(2)
	b.decide(types.Proposal{}, 1)
	b.want("instance 0/1 gets proposal [1 2] for slot 5")
	if got := b.log.Stats().Requeued; got != 1 {
		t.Errorf("%d requeued, want 1", got)
	}
}

func TestDecidedOwnSlotIsNotProposedFor(t *testing.T) {
	b := newBench(t, nil)
	b.decide(types.Proposal{}, 1)
	b.ready(1)
	if !slices.Contains(b.lines, "instance 0/1 gets proposal [1] for slot 5") {
		t.Errorf("got %q", b.lines)
	}
}

// held says that the state after an epoch is on disk.
func held(e types.Epoch) types.HeldSnapshot {
	return types.HeldSnapshot{Checkpoint: types.StableCheckpoint{Epoch: e}}
}

// A checkpoint that others made stable says nothing of where this replica would
// begin again, and there it must know what it has signed.
func TestRecordsAreKeptForAsLongAsARestartNeedsThem(t *testing.T) {
	b := newBench(t, nil)
	b.decide(types.Proposal{Skip: true}, 0, 1, 2, 3, 4, 5, 6, 7)
	b.ready(1)
	b.apply(0, types.StableCheckpoint{Epoch: 2})
	deleted := func(line string) bool { return strings.HasPrefix(line, "records of epochs") }
	if slices.ContainsFunc(b.lines, deleted) {
		t.Errorf("records were deleted with no state on disk: %q", b.lines)
	}
	b.apply(0, held(0))
	if !slices.Contains(b.lines, "records of epochs 0 to 0 deleted") {
		t.Errorf("got %q", b.lines)
	}
	b.apply(0, held(0))
	if slices.ContainsFunc(b.lines, deleted) {
		t.Errorf("deleted again: %q", b.lines)
	}
}

func TestEpochFollowsEpoch(t *testing.T) {
	b := newBench(t, nil)
	b.ready(1)
	b.decide(value(1), 1)
	b.ready(2)
	b.receive(2, SubOf(1, 3), message{})
	b.decide(types.Proposal{Skip: true}, 0, 2, 3, 4)
	b.ready(3)
	b.decide(value(2), 5)
	b.decide(types.Proposal{Skip: true}, 6, 7)
	b.apply(0, types.StableCheckpoint{Epoch: 0})
	b.apply(0, held(0))
	golden.Check(t, t.Name(), `Replica 1 of four, epochs of 8 slots. Certificates 1 and 2 take its slots 1 and 5; with
certificate 3 it has no slot left and asks for the end of the epoch. A message for epoch 1
that came early is replayed when epoch 1 begins, and certificate 3 goes into slot 9. The
instances of epoch 0 are closed once its checkpoint is stable, and forgotten once its state is here.`, b.trace.Bytes())
}

func TestEpochWaitsForTheCheckpoint(t *testing.T) {
	b := newBench(t, nil) // Two epochs ahead of none at all: 0 and 1.
	b.finishEpoch(0)
	b.finishEpoch(1)
	b.want("ordered 15: skipped", "end of epoch 1")
	b.ready(1)
	b.want()
	b.apply(0, types.StableCheckpoint{Epoch: 0})
	if got := b.log.Epoch(); got != 2 || !slices.Contains(b.lines, "instance 2/1 gets proposal [1] for slot 17") {
		t.Errorf("epoch %d, %q", got, b.lines)
	}
}

// Whoever answers a FINISH-EPOCH is not trusted with more than a leader can do
// anyway: all slots of the epoch become needed.
func TestFinishEpochMakesAllSlotsNeeded(t *testing.T) {
	b := newBench(t, nil)
	b.receive(3, 0, FinishEpoch{Epoch: 0})
	if got := len(b.lines); got != 2+8 || b.log.Stats().Filled != 2 {
		t.Errorf("%d effects, %d filled, want 10 and 2: %q", got, b.log.Stats().Filled, b.lines)
	}
	b.receive(3, 0, FinishEpoch{Epoch: 0})
	b.want()
}

func TestFinishEpochThatCameEarlyCounts(t *testing.T) {
	b := newBench(t, nil)
	b.receive(3, 0, FinishEpoch{Epoch: 1})
	b.want()
	b.finishEpoch(0)
	if got := b.log.Stats().Filled; got != 2 {
		t.Errorf("%d own slots of epoch 1 filled, want 2", got)
	}
}

// A proposal that was on its way to the instance when the leader was deposed
// may never have been sent, so nobody else might ever need its slot.
func TestDeposedLeaderWithCertificatesAsksForTheEndOfTheEpoch(t *testing.T) {
	for _, tc := range []struct {
		name    string
		prepare func(b *bench)
	}{
		{"queued", func(b *bench) { b.apply(0, types.LeaderDeposed{Epoch: 0, Leader: 1}); b.ready(1) }},
		{"in flight", func(b *bench) { b.ready(1); b.apply(0, types.LeaderDeposed{Epoch: 0, Leader: 1}) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, nil)
			tc.prepare(b)
			if !slices.Contains(b.lines, "send FINISH-EPOCH 0 to [0 2 3]") {
				t.Errorf("got %q", b.lines)
			}
		})
	}
}

func TestOtherLeadersOrEpochsDeposedChangeNothing(t *testing.T) {
	b := newBench(t, nil)
	b.apply(0, types.LeaderDeposed{Epoch: 0, Leader: 2})
	b.ready(1)
	b.want("instance 0/1 gets proposal [1] for slot 1")
}

func TestEarlyMessagesAreBoundedForEachSender(t *testing.T) {
	b := newBench(t, nil)
	for range 5 {
		b.receive(0, SubOf(1, 0), message{})
	}
	b.receive(2, SubOf(1, 0), message{})
	if got := b.log.Stats().BufferFull; got != 2 {
		t.Errorf("%d dropped, want 2", got)
	}
	b.finishEpoch(0)
	b.want("instance 1/0 gets message from 0", "instance 1/0 gets message from 0", "instance 1/0 gets message from 0",
		"instance 1/0 gets message from 2", "ordered 7: skipped", "end of epoch 0", "epoch 1 begins, leaders [0 1 2 3]")
	b.receive(0, SubOf(2, 0), message{})
	if got := b.log.Stats().BufferFull; got != 2 {
		t.Error("replayed messages still take up room")
	}
}

func TestInstancesAnswerUntilTheCheckpointIsStable(t *testing.T) {
	b := newBench(t, nil)
	b.finishEpoch(0)
	b.receive(2, SubOf(0, 3), message{})
	b.want("instance 0/3 gets message from 2")
	b.apply(0, types.StableCheckpoint{Epoch: 0})
	b.receive(2, SubOf(0, 3), message{})
	b.want()
	b.apply(SubOf(0, 3), message{}) // A timer that fired while it was being cancelled.
	b.want()
	if got := b.log.Stats().Collected; got != 1 {
		t.Errorf("%d messages for collected epochs counted, want 1", got)
	}
}

func TestInstancesOutliveTheirCheckpointByKeepEpochs(t *testing.T) {
	b := newBench(t, func(c *Config) { c.KeepEpochs = 1 })
	b.finishEpoch(0)
	b.finishEpoch(1)
	b.apply(0, types.StableCheckpoint{Epoch: 0})
	b.receive(2, SubOf(0, 3), message{})
	b.want("instance 0/3 gets message from 2")
	b.apply(0, types.StableCheckpoint{Epoch: 1})
	b.receive(2, SubOf(0, 3), message{})
	b.want()
	b.receive(2, SubOf(1, 3), message{})
	b.want("instance 1/3 gets message from 2")
}

func TestReplicaThatIsBehindKeepsItsEpoch(t *testing.T) {
	b := newBench(t, nil)
	b.apply(0, types.StableCheckpoint{Epoch: 2})
	b.receive(2, SubOf(0, 3), message{})
	b.want("instance 0/3 gets message from 2")
	b.finishEpoch(0)
	if got, want := b.log.first, types.Epoch(1); got != want {
		t.Errorf("instances from epoch %d on, want %d", got, want)
	}
}

func TestBadMessagesAreDroppedAndCounted(t *testing.T) {
	for _, tc := range []struct {
		name string
		from types.NodeID
		sub  mir.SubID
		msg  mir.Message
		want Stats
	}{
		{"stranger", 4, SubOf(0, 0), message{}, Stats{Stranger: 1}},
		{"no instance", 0, 0, message{}, Stats{Malformed: 1}},
		{"no epoch", 0, 3, message{}, Stats{Malformed: 1}},
		{"no leader", 0, SubOf(0, 4), message{}, Stats{Malformed: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, nil)
			b.receive(tc.from, tc.sub, tc.msg)
			b.want()
			if got := b.log.Stats(); got != tc.want {
				t.Errorf("stats %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestSingleReplicaAsksNobody(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Node, c.Members, c.EpochLength = 0, quorum.Equal(1), 1 })
	one := func(no int) types.Certificate {
		return types.Certificate{No: types.BatchNo(no), Batch: types.Digest{byte(no)}, Sigs: []types.Signature{{}}}
	}
	b.apply(0, types.CertReady{Cert: one(1)})
	b.apply(0, types.CertReady{Cert: one(2)})
	b.want("instance 0/0 gets need of slot 0")
	b.decide(types.Proposal{Certs: []types.Certificate{one(1)}}, 0)
	b.want("ordered 0: [1]", "end of epoch 0", "epoch 1 begins, leaders [0]", "instance 1/0 gets proposal [2] for slot 1")
}

func TestSlotDecidedTwiceBreaksAnInvariant(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	b := newBench(t, nil)
	b.decide(types.Proposal{}, 3, 3)
}

func TestSettingsAreChecked(t *testing.T) {
	for name, spoil := range map[string]func(*Config){
		"Members":         func(c *Config) { c.Members = quorum.Membership{} },
		"ConfigDelay":     func(c *Config) { c.ConfigDelay = 0 },
		"HeartbeatAfter":  func(c *Config) { c.HeartbeatAfter = 0 },
		"Policy":          func(c *Config) { c.Policy = "none" },
		"HandedMax":       func(c *Config) { c.HandedMax = -1 },
		"VerifyCert":      func(c *Config) { c.VerifyCert = nil },
		"NewInstance":     func(c *Config) { c.NewInstance = nil },
		"EpochLength":     func(c *Config) { c.EpochLength = 3 },
		"MaxCertsPerSlot": func(c *Config) { c.MaxCertsPerSlot = types.MaxCertsPerSlot + 1 },
		"OwnInFlightMax":  func(c *Config) { c.OwnInFlightMax = 0 },
		"EpochsAheadMax":  func(c *Config) { c.EpochsAheadMax = 0 },
		"KeepEpochs":      func(c *Config) { c.KeepEpochs = -1 },
		"BufferedMax":     func(c *Config) { c.BufferedMax = -1 },
	} {
		cfg := newBench(t, nil).log.cfg
		spoil(&cfg)
		if err := cfg.Validate(); err == nil {
			t.Errorf("a bad %s is valid", name)
		}
	}
}

func FuzzMessages(f *testing.F) {
	codec := &types.Codec{}
	RegisterMessages(codec)
	for _, m := range []mir.Message{
		FinishEpoch{Epoch: 7}, Status{Epoch: 1, Ordered: 9}, HandOver{Certs: []types.Certificate{cert(1), cert(2)}},
	} {
		b, err := codec.Encode(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint64(0), uint32(2))
	}
	f.Fuzz(func(t *testing.T, b []byte, sub uint64, from uint32) {
		m, err := codec.Decode(b)
		if err != nil {
			return
		}
		again, err := codec.Encode(nil, m)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x decodes to %+v, which encodes to %x, error %v", b, m, again, err)
		}
		newBench(t, nil).receive(types.NodeID(from), mir.SubID(sub), m)
	})
}
