package checkpoint

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/trantor/types"
)

func TestRestartGoesOnFromTheLatestSnapshotThatIsHeld(t *testing.T) {
	b := newBench(t, 4)
	large := strings.Repeat("x", 3*partBytes)
	b.stabilise(0, large)
	b.snapshot(1, "voted for")
	b.receive(0, b.certificate(2, "c", 0, 1, 2)) // Without its snapshot.
	if got := b.keys(); got != "k0 k2 s0/0 s0/1 s0/2 s0/3" {
		t.Errorf("durable: %s", got)
	}
	if err := b.restart(); err != nil {
		t.Fatal(err)
	}
	if s, data, ok := b.c.Held(); !ok || s.Epoch != 0 || !bytes.Equal(data, b.state(0, large)) {
		t.Errorf("held is epoch %d, %d bytes, %v", s.Epoch, len(data), ok)
	}
	b.apply(types.Boot{})
	stable := describe(types.StableCheckpoint(b.certificate(2, "c", 0, 1, 2)))
	b.want("to module 6: "+stable, "to module 7: "+stable, "to module 5: held snapshot of epoch 0",
		"to module 2: send ASK 3 knowing 5 to [0 1 2]")
	b.snapshot(1, "voted for")
	b.want() // It never votes in older epochs.
	b.snapshot(2, "c")
	b.want("to module 5: held snapshot of epoch 2")
	if got := b.keys(); got != "k2 s2/0" {
		t.Errorf("durable: %s", got)
	}
}

func TestRestartVotesAgainAsBefore(t *testing.T) {
	b := newBench(t, 4)
	b.stabilise(0, "a")
	b.snapshot(1, "b")
	before := b.sent[0].Msg.(Vote)
	if err := b.restart(); err != nil {
		t.Fatal(err)
	}
	b.snapshot(1, "b")
	if len(b.sent) != 1 || !bytes.Equal(b.sent[0].Msg.(Vote).Sig, before.Sig) {
		t.Errorf("%q, want the vote of before", b.lines)
	}
	if err := b.restart(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("two votes for one epoch")
		}
	}()
	b.snapshot(1, "another state")
}

// All replicas may crash when some have heard of the quorum and some have not.
func TestOwnSnapshotOfBeforeServesWhenTheCertificateComes(t *testing.T) {
	b := newBench(t, 4)
	b.snapshot(0, "a")
	if err := b.restart(); err != nil {
		t.Fatal(err)
	}
	b.receive(0, b.certificate(0, "a", 0, 1, 2))
	if s, _, ok := b.c.Held(); !ok || s.Epoch != 0 || b.keys() != "k0 s0/0" {
		t.Errorf("held %v, durable %s", ok, b.keys())
	}
}

func TestInstalledSnapshotOutlivesARestart(t *testing.T) {
	b := newBench(t, 4)
	b.stabilise(0, "a")
	b.receive(0, b.certificate(7, "x", 0, 1, 2))
	data := b.state(7, "x")
	b.apply(types.InstallSnapshot{Checkpoint: b.c.stable, Data: data})
	b.want("to module 5: held snapshot of epoch 7")
	if err := b.restart(); err != nil {
		t.Fatal(err)
	}
	if s, got, ok := b.c.Held(); !ok || s.Epoch != 7 || !bytes.Equal(got, data) || b.c.schedule.Last().Epoch != 7+configDelay {
		t.Errorf("held is epoch %d, %d bytes, %v", s.Epoch, len(got), ok)
	}
}

func TestMalformedRecordsAreAnError(t *testing.T) {
	b := newBench(t, 4)
	b.stabilise(0, strings.Repeat("x", partBytes))
	good := b.records() // k0, s0/0, s0/1
	spoil := func(do func([]types.Record) []types.Record) []types.Record {
		var records []types.Record
		for _, r := range good {
			records = append(records, types.Record{Key: slices.Clone(r.Key), Value: slices.Clone(r.Value)})
		}
		return do(records)
	}
	for name, records := range map[string][]types.Record{
		"foreign key":           {{Key: []byte("a2345678901"), Value: nil}},
		"short key":             {{Key: []byte("ck"), Value: nil}},
		"unknown kind":          {{Key: epochKey('z', 0), Value: nil}},
		"first part missing":    spoil(func(r []types.Record) []types.Record { return slices.Delete(r, 1, 2) }),
		"last part missing":     spoil(func(r []types.Record) []types.Record { return r[:2] }),
		"flipped bit":           spoil(func(r []types.Record) []types.Record { r[1].Value[100] ^= 1; return r }),
		"truncated certificate": spoil(func(r []types.Record) []types.Record { r[0].Value = r[0].Value[1:]; return r }),
		"certificate of another epoch": spoil(func(r []types.Record) []types.Record {
			r[0].Key = epochKey(recordCertificate, 1)
			return r
		}),
		"proof without bytes": append(slices.Clone(good[:1]), appendParts(nil, recordProof, 3, nil)...),
	} {
		if b.fresh().Recover(records, nil) == nil {
			t.Errorf("%s: recovered", name)
		}
	}
	if err := b.fresh().Recover(good, nil); err != nil {
		t.Errorf("the records themselves: %v", err)
	}
}

func FuzzRecover(f *testing.F) {
	b := newBench(nil, 4)
	b.stabilise(0, "a")
	for _, r := range b.records() {
		f.Add(r.Key, r.Value)
	}
	f.Add(epochKey(recordProof, 3), b.proof(2, b.state(2, "a")).AppendWire(nil))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		_ = newBench(t, 4).c.Recover([]types.Record{{Key: key, Value: value}}, nil)
	})
}
