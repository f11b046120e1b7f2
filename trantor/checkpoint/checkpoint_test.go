package checkpoint

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/perfgate/perfgate/internal/golden"
	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

const (
	selfModule  mir.ModuleID = 1
	netModule   mir.ModuleID = 2
	firstTarget mir.ModuleID = 3
)

// bench is the checkpoint module of replica 3 of four, and everybody's keys.
type bench struct {
	t       *testing.T
	c       *Checkpoint
	cryptos []crypto.Crypto
	trace   bytes.Buffer
	lines   []string // What came of the latest input.
}

func newBench(t *testing.T, n int) *bench {
	b := &bench{t: t}
	for id := range n {
		b.cryptos = append(b.cryptos, crypto.NewSimulated(1, types.NodeID(id), n))
	}
	b.c = New(Config{
		Node: types.NodeID(n - 1), Members: quorum.Equal(n), Crypto: b.cryptos[n-1],
		Self: selfModule, Net: netModule, Stable: []mir.ModuleID{firstTarget, firstTarget + 1}, EpochsAheadMax: 3,
	})
	return b
}

func (b *bench) apply(body mir.Body) {
	b.lines = nil
	fmt.Fprintf(&b.trace, "> %s\n", describe(body))
	var out mir.Out
	b.c.Apply(mir.Event{To: selfModule, Body: body}, &out)
	for _, ev := range out.Events() {
		line := fmt.Sprintf("to module %d: %s", ev.To, describe(ev.Body))
		b.lines = append(b.lines, line)
		fmt.Fprintln(&b.trace, line)
	}
}

func (b *bench) want(lines ...string) {
	b.t.Helper()
	if !slices.Equal(b.lines, lines) {
		b.t.Errorf("got %q, want %q", b.lines, lines)
	}
}

func (b *bench) snapshot(e types.Epoch, data string) {
	b.apply(types.Snapshot{Epoch: e, Data: []byte(data)})
}

func (b *bench) receive(from types.NodeID, m mir.Message) { b.apply(mir.Received{From: from, Msg: m}) }

// vote is validly signed by from.
func (b *bench) vote(from types.NodeID, e types.Epoch, data string) Vote {
	d := types.SnapshotDigest([]byte(data))
	return Vote{Epoch: e, Digest: d, Sig: b.cryptos[from].Sign(DomainVote, Statement(e, d))}
}

func (b *bench) certificate(e types.Epoch, data string, ids ...types.NodeID) Certificate {
	m := Certificate{Epoch: e, Digest: types.SnapshotDigest([]byte(data))}
	for _, id := range ids {
		m.Sigs = append(m.Sigs, types.Signature{Signer: id, Sig: b.vote(id, e, data).Sig})
	}
	return m
}

func describe(body mir.Body) string {
	switch e := body.(type) {
	case types.Snapshot:
		return fmt.Sprintf("snapshot of epoch %d: %s", e.Epoch, e.Data)
	case mir.Received:
		return fmt.Sprintf("%s from %d", describe(e.Msg), e.From)
	case mir.Send:
		return fmt.Sprintf("send %s to %v", describe(e.Msg), e.To)
	case Vote:
		return fmt.Sprintf("VOTE %d %s", e.Epoch, e.Digest)
	case Certificate:
		return fmt.Sprintf("CERTIFICATE %d %s by %s", e.Epoch, e.Digest, signers(e.Sigs))
	case types.StableCheckpoint:
		return fmt.Sprintf("stable %d %s by %s", e.Epoch, e.Digest, signers(e.Sigs))
	}
	return body.EventName()
}

func signers(sigs []types.Signature) string {
	var ids []types.NodeID
	for _, s := range sigs {
		ids = append(ids, s.Signer)
	}
	return fmt.Sprint(ids)
}

// CL02, section 4.4: a quorum of equal votes is a stable checkpoint.
func TestQuorumOfEqualVotesIsStable(t *testing.T) {
	b := newBench(t, 4)
	b.receive(0, b.vote(0, 0, "a"))
	b.snapshot(0, "a")
	b.receive(1, b.vote(1, 0, "other"))
	b.receive(2, b.vote(2, 0, "a"))
	b.receive(0, b.vote(0, 1, "b"))
	b.snapshot(1, "b")
	golden.Check(t, t.Name(), `Replica 3 of four votes for its state at the end of epoch 0. The vote of replica 1 is for
another state and does not count towards the quorum, which replica 2 completes: the
checkpoint goes to both modules that asked for it. Two votes for epoch 1 are no quorum.`, b.trace.Bytes())
	got, data, ok := b.c.Stable()
	if !ok || got.Epoch != 0 || string(data) != "a" {
		t.Errorf("stable is epoch %d, %q, %v, want 0 with a", got.Epoch, data, ok)
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
	if _, _, ok := b.c.Stable(); ok {
		t.Error("two votes made a checkpoint stable")
	}
}

func TestSingleReplicaIsStableAtOnce(t *testing.T) {
	b := newBench(t, 1)
	b.snapshot(0, "a")
	if len(b.lines) != 2 {
		t.Errorf("got %q, want the checkpoint at both modules", b.lines)
	}
}

// The others may be a quorum without this replica.
func TestCheckpointMayBeStableBeforeOwnSnapshot(t *testing.T) {
	b := newBench(t, 4)
	for id := range types.NodeID(3) {
		b.receive(id, b.vote(id, 1, "b"))
	}
	if s, data, ok := b.c.Stable(); !ok || s.Epoch != 1 || data != nil {
		t.Errorf("stable is epoch %d, %q, %v, want 1 without a snapshot", s.Epoch, data, ok)
	}
	b.snapshot(0, "a") // Of no use any more, but it is said.
	b.want("to module 2: send VOTE 0 cd23d09c to [0 1 2]")
	b.snapshot(1, "b")
	if _, data, _ := b.c.Stable(); string(data) != "b" {
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
	if b.c.next != 2 || len(b.c.snapshots) != 2 || len(b.c.tallies) != 1 {
		t.Errorf("next %d, %d snapshots, %d tallies, want 2, 2, 1", b.c.next, len(b.c.snapshots), len(b.c.tallies))
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

// Votes are sent once, so whoever dropped some as too far ahead must be told.
func TestReplicaThatIsBehindGetsTheCertificateOnce(t *testing.T) {
	b := newBench(t, 4)
	for id := range types.NodeID(3) {
		b.receive(id, b.vote(id, 2, "c"))
	}
	b.receive(0, b.vote(0, 1, "b"))
	b.want("to module 2: send CERTIFICATE 2 18d2dc35 by [0 1 2] to [0]")
	b.receive(0, b.vote(0, 1, "b"))
	b.receive(0, b.vote(0, 0, "a"))
	b.want()
	b.receive(1, b.vote(1, 2, "c")) // Not behind.
	b.want()
}

func TestCertificateIsBelievedIfItVerifies(t *testing.T) {
	b := newBench(t, 4)
	b.receive(2, b.certificate(7, "x", 0, 1)) // Short of a quorum.
	b.want()
	forged := b.certificate(7, "x", 0, 1, 2)
	forged.Epoch = 8
	b.receive(2, forged)
	b.want()
	if got := b.c.Stats().BadSignature; got != 2 {
		t.Errorf("%d bad certificates counted, want 2", got)
	}
	b.receive(2, b.certificate(7, "x", 0, 1, 2)) // Far ahead of what votes may be.
	if b.c.next != 8 || len(b.lines) != 2 {
		t.Errorf("next %d, %q, want 8 and the checkpoint at two modules", b.c.next, b.lines)
	}
	b.receive(2, b.certificate(7, "x", 0, 1, 2))
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
		{"oneself", 3, func(b *bench) mir.Message { return Vote{} }, Stats{Stranger: 1}},
		{"other type", 0, func(b *bench) mir.Message { return types.Flush{} }, Stats{Malformed: 1}},
		{"signed by another", 0, func(b *bench) mir.Message { return b.vote(1, 0, "a") }, Stats{BadSignature: 1}},
		{"too far ahead", 0, func(b *bench) mir.Message { return b.vote(0, 3, "a") }, Stats{TooFar: 1}},
		{"as far ahead as may be", 0, func(b *bench) mir.Message { return b.vote(0, 2, "a") }, Stats{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, 4)
			b.receive(tc.from, tc.msg(b))
			b.want()
			if got := b.c.Stats(); got != tc.want {
				t.Errorf("stats %+v, want %+v", got, tc.want)
			}
		})
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

// Whatever decodes is encoded to the same bytes, and does not panic a replica.
func FuzzMessages(f *testing.F) {
	codec := &types.Codec{}
	RegisterMessages(codec)
	b := newBench(nil, 4)
	for _, m := range []mir.Message{b.vote(1, 2, "a"), b.certificate(1, "a", 0, 1, 2)} {
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
		newBench(t, 4).receive(0, m)
	})
}
