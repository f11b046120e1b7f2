package micro

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/availability"
	"github.com/perfgate/perfgate/trantor/checkpoint"
	"github.com/perfgate/perfgate/trantor/mempool"
	"github.com/perfgate/perfgate/trantor/ordering/iss"
	"github.com/perfgate/perfgate/trantor/ordering/pbft"
	"github.com/perfgate/perfgate/trantor/types"
)

// newCodec knows all messages.
func newCodec() *types.Codec {
	c := &types.Codec{}
	mempool.RegisterMessages(c)
	availability.RegisterMessages(c)
	pbft.RegisterMessages(c)
	iss.RegisterMessages(c)
	checkpoint.RegisterMessages(c)
	return c
}

// sampleSigs are signatures of the first count replicas.
func sampleSigs(count int) []types.Signature {
	out := make([]types.Signature, count)
	for i := range out {
		out[i] = types.Signature{Signer: types.NodeID(i), Sig: pattern(types.SignatureBytes)}
	}
	return out
}

// sampleProposal holds count certificates as they are at n = 4: of f+1 signatures.
func sampleProposal(count int) types.Proposal {
	p := types.Proposal{Certs: make([]types.Certificate, count)}
	for i := range p.Certs {
		p.Certs[i] = types.Certificate{Creator: 1, No: types.BatchNo(i), Batch: digest(uint64(i)), Sigs: sampleSigs(2)}
	}
	return p
}

// sampleViewChange is that of a replica which has prepared 8 slots of 16, at n = 4.
func sampleViewChange() pbft.ViewChange {
	m := pbft.ViewChange{View: 1, Sig: pattern(types.SignatureBytes)}
	for i := range 8 {
		m.Prepared = append(m.Prepared, pbft.Prepared{Seq: types.SeqNr(i), Digest: digest(uint64(i))})
		m.Proofs = append(m.Proofs, pbft.Proof{Proposal: sampleProposal(1), Sigs: sampleSigs(3)})
	}
	return m
}

// sampleMessages are one of each type, as they are at n = 4 under load.
func sampleMessages() []struct {
	name string
	msg  mir.Message
} {
	sig, id := pattern(types.SignatureBytes), availability.BatchID{Creator: 1, No: 9, Digest: digest(9)}
	batch := types.EncodeBatch(transactions(128, 32))
	newView := pbft.NewView{View: 1, Proofs: sampleViewChange().Proofs}
	for i := range 3 {
		change := sampleViewChange()
		change.Proofs = nil
		newView.Changes = append(newView.Changes, pbft.SignedChange{Signer: types.NodeID(i), ViewChange: change})
	}
	return []struct {
		name string
		msg  mir.Message
	}{
		{"batch", availability.Batch{No: 9, Data: batch}},
		{"ack", availability.Ack{No: 9, Batch: digest(9), Sig: sig}},
		{"request", availability.Request{ID: id}},
		{"response", availability.Response{ID: id, Data: batch}},
		{"forward", mempool.Forward{Data: batch}},
		{"pre-prepare", pbft.PrePrepare{Seq: 9, Proposal: sampleProposal(4), Sig: sig}},
		{"prepare", pbft.Prepare{View: 1, Seq: 9, Digest: digest(9), Sig: sig}},
		{"commit", pbft.Commit{View: 1, Seq: 9, Digest: digest(9)}},
		{"view-change", sampleViewChange()},
		{"new-view", newView},
		{"decision", pbft.Decision{Seq: 9, Proposal: sampleProposal(4)}},
		{"finish-epoch", iss.FinishEpoch{Epoch: 9}},
		{"checkpoint-vote", checkpoint.Vote{Epoch: 9, Digest: digest(9), Sig: sig}},
		{"checkpoint-certificate", checkpoint.Certificate{Epoch: 9, Digest: digest(9), Sigs: sampleSigs(3)}},
	}
}

// BenchmarkEncode writes one message into a buffer that is large enough. A
// batch has 128 transactions of 256 B, a proposal 4 certificates.
func BenchmarkEncode(b *testing.B) {
	for _, m := range sampleMessages() {
		b.Run("message="+m.name, func(b *testing.B) {
			c := newCodec()
			wire, err := c.Encode(nil, m.msg)
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, 0, len(wire))
			for b.Loop() {
				if buf, err = c.Encode(buf[:0], m.msg); err != nil {
					b.Fatal(err)
				}
			}
			if !bytes.Equal(buf, wire) {
				b.Fatal("the last encoding differs from the first")
			}
		})
	}
}

// BenchmarkDecode reads one message, the same as those of BenchmarkEncode.
//
//perfgate:sizes gate full
//perfgate:sizes message=pre-prepare smoke gate full
func BenchmarkDecode(b *testing.B) {
	for _, m := range sampleMessages() {
		b.Run("message="+m.name, func(b *testing.B) {
			c := newCodec()
			wire, err := c.Encode(nil, m.msg)
			if err != nil {
				b.Fatal(err)
			}
			var last mir.Message
			for b.Loop() {
				if last, err = c.Decode(wire); err != nil {
					b.Fatal(err)
				}
			}
			again, err := c.Encode(nil, last)
			if err != nil || !bytes.Equal(again, wire) {
				b.Fatalf("the last message decoded is not what was encoded (error %v)", err)
			}
		})
	}
}

// BenchmarkEncodeBatch puts transactions of 256 B into one batch.
func BenchmarkEncodeBatch(b *testing.B) {
	for _, txs := range []int{128, 1024} {
		b.Run(fmt.Sprintf("txs=%d", txs), func(b *testing.B) {
			all := transactions(txs, 32)
			var batch []byte
			for b.Loop() {
				batch = types.EncodeBatch(all)
			}
			want(b, "bytes", len(batch), types.BatchHeaderBytes+txs*encodedTxBytes)
		})
	}
}

// BenchmarkDecodeBatch reads the transactions of a batch, whose payloads stay
// where they are.
func BenchmarkDecodeBatch(b *testing.B) {
	for _, txs := range []int{128, 1024} {
		b.Run(fmt.Sprintf("txs=%d", txs), func(b *testing.B) {
			batch := types.EncodeBatch(transactions(txs, 32))
			var out []types.Tx
			var err error
			for b.Loop() {
				if out, err = types.DecodeBatch(batch); err != nil {
					b.Fatal(err)
				}
			}
			want(b, "transactions", len(out), txs)
			want(b, "bytes in the last payload", len(out[txs-1].Payload), payloadBytes)
		})
	}
}
