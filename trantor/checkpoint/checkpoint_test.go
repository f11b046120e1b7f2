package checkpoint

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/internal/golden"
	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// CL02, section 4.4: a quorum of equal votes is a stable checkpoint.
func TestQuorumOfEqualVotesIsStable(t *testing.T) {
	b := newBench(t, 4)
	b.receive(0, b.vote(0, 0, "a"))
	b.snapshot(0, "a")
	b.receive(1, b.vote(1, 0, "other"))
	b.receive(2, b.vote(2, 0, "a"))
	b.receive(0, b.vote(0, 1, "b"))
	b.snapshot(1, "b")
	b.tick()
	golden.Check(t, t.Name(), `Replica 3 of four writes down and votes for its state at the end of epoch 0; its own vote
counts when it comes back. The vote of replica 1 is for another state and does not count
towards the quorum, which replica 2 completes: the certificate (k) is durable beside the
snapshot (s), and then the checkpoint goes to both modules that asked for it and the
snapshot to state transfer. Two votes for epoch 1 are no quorum, so the own one is sent
again. Durable lists all that is on the disk.`, b.trace.Bytes())
	got, data, ok := b.c.Held()
	if !ok || got.Epoch != 0 || !bytes.Equal(data, b.state(0, "a")) {
		t.Errorf("held is epoch %d, %q, %v, want 0 with a", got.Epoch, data, ok)
	}
	if err := crypto.VerifyCert(quorum.Equal(4), b.cryptos[0], DomainVote,
		Statement(got.Epoch, got.Digest), got.Sigs, quorum.Equal(4).IsQuorum); err != nil {
		t.Errorf("the certificate: %v", err)
	}
}

func TestQuorumMinusOneIsNotStable(t *testing.T) {
	b := newBench(t, 4)
	b.receive(0, b.vote(0, 0, "a"))
	b.receive(0, b.vote(0, 0, "a"))
	b.receive(1, b.vote(1, 0, "a"))
	b.receive(2, b.vote(2, 0, "b"))
	b.want()
	if _, ok := b.c.Stable(); ok {
		t.Error("two votes made a checkpoint stable")
	}
}

func TestSingleReplicaIsStableAtOnce(t *testing.T) {
	b := newBench(t, 1)
	b.snapshot(0, "a")
	if s, ok := b.c.Stable(); !ok || s.Epoch != 0 || len(b.lines) != 4 {
		t.Errorf("got %q, want the vote, the checkpoint at both modules, and the snapshot", b.lines)
	}
}

// The vote must not leave before the snapshot is durable, nor count.
func TestVoteWaitsForTheDisk(t *testing.T) {
	b := newBench(t, 1)
	var out mir.Out
	b.c.Apply(mir.Event{Body: types.Snapshot{Epoch: 0, Data: b.state(0, "a")}}, &out)
	for _, ev := range out.Events() {
		switch e := ev.Body.(type) {
		case mir.Send, types.StableCheckpoint:
			t.Errorf("%s before anything was durable", describe(e))
		case types.Persist:
			if len(e.Puts) != 1 || len(e.Then) != 1 || describe(e.Then[0].Body) != describe(mir.Send{To: []mir.NodeID{0}, Msg: b.vote(0, 0, "a")}) {
				t.Errorf("%d records, then %v", len(e.Puts), e.Then)
			}
		}
	}
	if _, ok := b.c.Stable(); ok {
		t.Error("the own vote counted before it was durable")
	}
}

// The others may be a quorum without this replica.
func TestCheckpointMayBeStableBeforeOwnSnapshot(t *testing.T) {
	b := newBench(t, 4)
	for id := range types.NodeID(3) {
		b.receive(id, b.vote(id, 1, "b"))
	}
	if _, _, ok := b.c.Held(); ok || b.c.next != 2 {
		t.Errorf("stable below %d, want 2 without a snapshot", b.c.next)
	}
	b.snapshot(0, "a") // Of no use any more.
	b.want()
	b.snapshot(1, "b")
	b.want("to module 5: held snapshot of epoch 1")
	if _, data, _ := b.c.Held(); !bytes.Equal(data, b.state(1, "b")) {
		t.Errorf("snapshot %q, want b", data)
	}
}

func TestOldSnapshotsAndVotesAreForgotten(t *testing.T) {
	b := newBench(t, 4)
	for e := range types.Epoch(3) {
		b.snapshot(e, "a")
		b.receive(0, b.vote(0, e, "a"))
	}
	b.receive(1, b.vote(1, 1, "a"))
	if b.c.next != 2 || len(b.c.snapshots) != 1 || len(b.c.tallies) != 1 || len(b.c.own) != 1 {
		t.Errorf("next %d, %d snapshots, %d tallies, %d own votes, want 2, 1, 1, 1",
			b.c.next, len(b.c.snapshots), len(b.c.tallies), len(b.c.own))
	}
	if got := b.keys(); got != "k1 s1/0 s2/0" {
		t.Errorf("durable: %s", got)
	}
	b.receive(1, b.vote(1, 2, "a")) // The vote of replica 0 for epoch 2 must have been kept.
	if b.c.next != 3 {
		t.Error("votes for a later epoch were lost")
	}
}

func TestOwnStateThatAQuorumContradictsStopsTheReplica(t *testing.T) {
	for _, ownFirst := range []bool{true, false} {
		t.Run(fmt.Sprintf("ownFirst=%v", ownFirst), func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			b := newBench(t, 4)
			if ownFirst {
				b.snapshot(0, "broken")
			}
			for id := range types.NodeID(3) {
				b.receive(id, b.vote(id, 0, "a"))
			}
			b.snapshot(0, "broken")
		})
	}
}

func TestVotesAreSentAgainUntilTheirEpochIsStable(t *testing.T) {
	b := newBench(t, 4)
	for e := range types.Epoch(3) {
		b.snapshot(e, "a")
	}
	for range 2 {
		b.tick()
		if len(b.sent) != 3 || !b.armed {
			t.Fatalf("%d messages, armed %v, want the three votes and one more time", len(b.sent), b.armed)
		}
	}
	b.receive(0, b.certificate(2, "a", 0, 1, 2))
	b.tick()
	if len(b.sent) != 0 || b.armed {
		t.Errorf("%d messages, armed %v after all is stable", len(b.sent), b.armed)
	}
}

func TestReplicaThatIsBehindGetsTheCertificateOncePerTick(t *testing.T) {
	b := newBench(t, 4)
	for id := range types.NodeID(3) {
		b.receive(id, b.vote(id, 2, "c"))
	}
	answer := "to module 2: send " + describe(b.certificate(2, "c", 0, 1, 2)) + " to [0]"
	b.receive(0, b.vote(0, 1, "b"))
	b.want(answer)
	b.receive(0, b.vote(0, 0, "a"))
	b.apply(types.PeerBehind{Peer: 0})
	b.receive(0, Ask{})
	b.want()
	b.tick()
	b.apply(types.PeerBehind{Peer: 0})
	b.want(answer)
	b.tick()
	b.receive(0, Ask{Next: 3})
	b.want() // Not behind.
}

// A vote that is repeated says that its sender has not heard of the quorum.
func TestRepeatedVoteForTheStableEpochIsAnswered(t *testing.T) {
	b := newBench(t, 4)
	b.stabilise(0, "a")
	b.receive(2, b.vote(2, 0, "a")) // The quorum was faster.
	b.want()
	b.receive(2, b.vote(2, 0, "a"))
	if len(b.sent) != 1 {
		t.Errorf("%q, want the certificate", b.lines)
	}
}

func TestCertificateIsBelievedIfItVerifies(t *testing.T) {
	b := newBench(t, 4)
	b.receive(2, b.certificate(3, "x", 0, 1)) // Short of a quorum.
	b.want()
	b.receive(2, b.certificate(3, "x", 0, 1, 2))
	if b.want(); b.c.Stats().Refused != 1 {
		t.Error("a second certificate was looked at before the next tick")
	}
	b.tick()
	forged := b.certificate(3, "x", 0, 1, 2)
	forged.Epoch = 4
	b.receive(2, forged)
	b.want()
	if got := b.c.Stats().BadSignature; got != 2 {
		t.Errorf("%d bad certificates counted, want 2", got)
	}
	b.tick()
	b.receive(2, b.certificate(400, "x", 0, 1, 2)) // Far ahead of what votes may be.
	if b.c.next != 401 || len(b.lines) != 2 {
		t.Errorf("next %d, %q, want 401 and the checkpoint at two modules", b.c.next, b.lines)
	}
	b.receive(2, b.certificate(400, "x", 0, 1, 2))
	b.want()
}

func TestBadVotesAreDroppedAndCounted(t *testing.T) {
	for _, tc := range []struct {
		name string
		from types.NodeID
		msg  func(b *bench) mir.Message
		want Stats
	}{
		{"stranger", 4, func(b *bench) mir.Message { return Vote{} }, Stats{Stranger: 1}},
		{"impossible replica", types.MaxReplicas, func(b *bench) mir.Message { return Ask{} }, Stats{Stranger: 1}},
		{"other type", 0, func(b *bench) mir.Message { return types.Flush{} }, Stats{Malformed: 1}},
		{"signed by another", 0, func(b *bench) mir.Message { return b.vote(1, 0, "a") }, Stats{BadSignature: 1}},
		{"too far ahead", 0, func(b *bench) mir.Message { return b.vote(0, 3, "a") }, Stats{TooFar: 1}},
		{"as far ahead as may be", 0, func(b *bench) mir.Message { return b.vote(0, 2, "a") }, Stats{}},
		{"proof that nobody asked for", 0, func(b *bench) mir.Message { return Proof{} }, Stats{Refused: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, 4)
			b.c.asked[0] = tc.want.TooFar > 0
			b.receive(tc.from, tc.msg(b))
			b.want()
			if got := b.c.Stats(); got != tc.want {
				t.Errorf("stats %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestOneBadVoteIsAllThatAReplicaGetsVerifiedForAnEpoch(t *testing.T) {
	b := newBench(t, 4)
	counting := crypto.NewCounting(b.cryptos[b.node])
	b.cryptos[b.node] = counting
	b.c = b.fresh()
	for range 10 {
		b.receive(0, b.vote(1, 0, "a"))
	}
	b.receive(0, b.vote(0, 0, "a"))
	if got := b.c.Stats(); counting.Counts().Verifies != 1 || got.BadSignature != 1 || got.Refused != 10 {
		t.Errorf("%d signatures verified, stats %+v", counting.Counts().Verifies, got)
	}
	b.receive(0, b.vote(0, 1, "a"))
	b.receive(1, b.vote(1, 0, "a"))
	if got := counting.Counts().Verifies; got != 3 {
		t.Errorf("%d signatures verified, want those of the next epoch and of another replica too", got)
	}
}

// Who votes far ahead lies, or this replica has not heard of many checkpoints.
// Found by simulation: the others had made the epoch stable and collected what it
// took to execute it, and one who had not executed it never voted, so nobody told.
func TestReplicaThatOthersHaveOvertakenAsks(t *testing.T) {
	b := newBench(t, 4)
	b.receive(0, b.vote(0, 0, "a"))
	b.receive(1, b.vote(1, 0, "a"))
	if b.tick(); len(b.sent) != 0 || !b.armed {
		t.Fatalf("%d messages, armed %v, want none before a whole tick has passed", len(b.sent), b.armed)
	}
	b.tick()
	b.want("to module 2: send " + describe(Ask{Known: configDelay - 1}) + " to [0 1 2]")
	b.receive(2, b.certificate(0, "a", 0, 1, 2))
	if b.tick(); len(b.sent) != 0 || b.armed {
		t.Errorf("%d messages, armed %v after all is stable", len(b.sent), b.armed)
	}
}

func TestVotesThatAreFarAheadMakeAReplicaAsk(t *testing.T) {
	b := newBench(t, 4)
	for range 3 {
		b.receive(0, b.vote(0, 100, "a"))
	}
	b.receive(1, b.vote(1, 100, "a"))
	if got := b.c.Stats(); got.Asked != 2 || got.TooFar != 4 {
		t.Errorf("stats %+v, want one question to each", got)
	}
}

func TestSecondVoteIsNotCounted(t *testing.T) {
	b := newBench(t, 4)
	b.receive(0, b.vote(0, 0, "a"))
	b.receive(0, b.vote(0, 0, "a"))
	b.receive(0, b.vote(0, 0, "b"))
	if got, want := b.c.Stats(), (Stats{Repeated: 1, Equivocation: 1}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

// Votes weigh what the members of their epoch give them.
func TestEachEpochHasItsOwnQuorum(t *testing.T) {
	b := newBench(t, 4)
	later, err := types.WeightedConfiguration([]uint64{10, 1, 1, 0, 1}).Quorums()
	if err != nil {
		t.Fatal(err)
	}
	b.c.next = configDelay
	b.apply(types.EpochConfig{Epoch: configDelay, Config: types.WeightedConfiguration([]uint64{10, 1, 1, 0, 1}), Members: later})
	b.receive(3, b.vote(3, configDelay, "a"))
	if b.c.Stats().Stranger != 1 {
		t.Error("a replica that has left voted")
	}
	b.receive(4, b.vote(4, configDelay, "a"))
	b.receive(0, b.vote(0, configDelay, "a"))
	if b.c.next != configDelay+1 {
		t.Error("weight 11 of 13 is a quorum")
	}
}

func TestReplicaThatIsNoMemberDoesNotVote(t *testing.T) {
	b := newBenchOf(t, 4, 7)
	b.snapshot(0, "a")
	b.want()
	if len(b.disk) != 0 {
		t.Errorf("durable: %s", b.keys())
	}
	b.receive(0, b.certificate(0, "a", 0, 1, 2))
	if got := b.keys(); got != "k0 s0/0" {
		t.Errorf("durable: %s, want the checkpoint with its snapshot", got)
	}
}

// Whatever decodes is encoded to the same bytes, and does not panic a replica.
func FuzzMessages(f *testing.F) {
	codec := &types.Codec{}
	RegisterMessages(codec)
	b := newBench(nil, 4)
	for _, m := range []mir.Message{b.vote(1, 2, "a"), b.certificate(1, "a", 0, 1, 2), Ask{Next: 1, Known: 5}, b.proof(2, b.state(2, "a"))} {
		wire, err := codec.Encode(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		m, err := codec.Decode(wire)
		if err != nil {
			return
		}
		again, err := codec.Encode(nil, m)
		if err != nil || !bytes.Equal(again, wire) {
			t.Fatalf("%x decodes to %+v, which encodes to %x, error %v", wire, m, again, err)
		}
		b := newBench(t, 4)
		b.c.asked[0] = true
		b.receive(0, m)
	})
}

func TestValidateNamesTheBadSetting(t *testing.T) {
	for setting, spoil := range map[string]func(*Config){
		"Crypto":         func(c *Config) { c.Crypto = nil },
		"Node":           func(c *Config) { c.Node = types.MaxReplicas },
		"ConfigDelay":    func(c *Config) { c.ConfigDelay = 0 },
		"EpochsAheadMax": func(c *Config) { c.EpochsAheadMax = 0 },
		"ResendAfter":    func(c *Config) { c.ResendAfter = 0 },
		"Genesis":        func(c *Config) { c.Genesis = types.Configuration{} },
	} {
		cfg := newBench(t, 4).c.cfg
		spoil(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), setting) {
			t.Errorf("bad %s: error %v", setting, err)
		}
	}
}
