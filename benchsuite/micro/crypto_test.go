package micro

import (
	"fmt"
	"testing"

	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// domain is what signatures are made for here.
const domain crypto.Domain = "trantor/benchsuite"

// statement is as long as what the protocols sign.
var statement = pattern(48)

// BenchmarkHashBatch takes the digest of an encoded batch of 256 B
// transactions.
//
//perfgate:sizes gate full
//perfgate:sizes txs=128 smoke gate full
func BenchmarkHashBatch(b *testing.B) {
	for _, txs := range []int{128, 1024} {
		b.Run(fmt.Sprintf("txs=%d", txs), func(b *testing.B) {
			batch := types.EncodeBatch(transactions(txs, 32))
			var d types.Digest
			for b.Loop() {
				d = types.HashBatch(batch)
			}
			if batch[len(batch)-1]++; d == types.HashBatch(batch) || d == (types.Digest{}) {
				b.Fatal("the digest does not depend on the batch")
			}
		})
	}
}

// BenchmarkSign makes one Ed25519 signature.
func BenchmarkSign(b *testing.B) {
	c := crypto.DeriveEd25519(1, 1)[0]
	var sig []byte
	for b.Loop() {
		sig = c.Sign(domain, statement)
	}
	if err := c.Verify(0, domain, statement, sig); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkVerify checks one Ed25519 signature, which is good.
//
//perfgate:sizes smoke gate full
func BenchmarkVerify(b *testing.B) {
	c := crypto.DeriveEd25519(1, 1)[0]
	sig := c.Sign(domain, statement)
	for b.Loop() {
		if err := c.Verify(0, domain, statement, sig); err != nil {
			b.Fatal(err)
		}
	}
	if c.Verify(0, domain, statement[1:], sig) == nil {
		b.Fatal("a signature on something else is accepted")
	}
}

// quorumOfSigs are Ed25519 signatures of the least quorum of n equal replicas.
func quorumOfSigs(n int) (quorum.Membership, *crypto.Ed25519, []types.Signature) {
	m, all := quorum.Equal(n), crypto.DeriveEd25519(1, n)
	var sigs []types.Signature
	for !m.IsQuorum(uint64(len(sigs))) {
		signer := types.NodeID(len(sigs))
		sigs = append(sigs, types.Signature{Signer: signer, Sig: all[signer].Sign(domain, statement)})
	}
	return m, all[0], sigs
}

// BenchmarkCertBuild collects the signatures of a quorum, the last signer
// first. It does not verify them.
func BenchmarkCertBuild(b *testing.B) {
	for _, n := range []int{4, 16} {
		b.Run(replicas(n), func(b *testing.B) {
			m, _, sigs := quorumOfSigs(n)
			var cert []types.Signature
			for b.Loop() {
				set := crypto.NewSigSet(m)
				for i := len(sigs) - 1; i >= 0; i-- {
					set.Add(sigs[i])
				}
				cert = set.Sigs()
			}
			want(b, "signatures", len(cert), len(sigs))
			want(b, "is the first signer", int(cert[0].Signer), 0)
		})
	}
}

// BenchmarkCertVerify checks a certificate of a quorum's Ed25519 signatures.
//
//perfgate:sizes gate full
//perfgate:sizes n=4 smoke gate full
//perfgate:sizes n=64 full
func BenchmarkCertVerify(b *testing.B) {
	for _, n := range []int{4, 16, 64} {
		b.Run(replicas(n), func(b *testing.B) {
			m, c, sigs := quorumOfSigs(n)
			for b.Loop() {
				if err := crypto.VerifyCert(m, c, domain, statement, sigs, m.IsQuorum); err != nil {
					b.Fatal(err)
				}
			}
			if crypto.VerifyCert(m, c, domain, statement, sigs[1:], m.IsQuorum) == nil {
				b.Fatal("a certificate of less than a quorum is accepted")
			}
		})
	}
}
