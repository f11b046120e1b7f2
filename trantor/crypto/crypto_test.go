package crypto

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"testing"

	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

const replicas = 4

// implementations gives the identities of four replicas under each scheme.
func implementations() map[string][]Crypto {
	out := map[string][]Crypto{}
	for i, e := range DeriveEd25519(1, replicas) {
		out["ed25519"] = append(out["ed25519"], e)
		out["simulated"] = append(out["simulated"], NewSimulated(1, types.NodeID(i), replicas))
		out["counting"] = append(out["counting"], NewCounting(e))
		out["caching"] = append(out["caching"], NewCaching(e, 16))
	}
	return out
}

func TestOnlyTheSignedBytesVerify(t *testing.T) {
	for name, ids := range implementations() {
		t.Run(name, func(t *testing.T) {
			sig := ids[1].Sign("ab", []byte("cd"))
			if len(sig) > types.SignatureBytes {
				t.Errorf("signature has %d bytes, the wire takes %d", len(sig), types.SignatureBytes)
			}
			if err := ids[2].Verify(1, "ab", []byte("cd"), sig); err != nil {
				t.Fatal(err)
			}
			flipped := slices.Clone(sig)
			flipped[0] ^= 1
			for what, err := range map[string]error{
				"another signer":      ids[2].Verify(0, "ab", []byte("cd"), sig),
				"a stranger":          ids[2].Verify(replicas, "ab", []byte("cd"), sig),
				"another message":     ids[2].Verify(1, "ab", []byte("ce"), sig),
				"another domain":      ids[2].Verify(1, "aB", []byte("cd"), sig),
				"domain into message": ids[2].Verify(1, "a", []byte("bcd"), sig),
				"a flipped bit":       ids[2].Verify(1, "ab", []byte("cd"), flipped),
				"a short signature":   ids[2].Verify(1, "ab", []byte("cd"), sig[:len(sig)-1]),
				"no signature":        ids[2].Verify(1, "ab", []byte("cd"), nil),
			} {
				if !errors.Is(err, ErrSignature) {
					t.Errorf("%s: error %v, want ErrSignature", what, err)
				}
			}
		})
	}
}

func TestAllVerifyOnlyIfEachDoes(t *testing.T) {
	for name, ids := range implementations() {
		t.Run(name, func(t *testing.T) {
			msg := []byte("message")
			var good []types.Signature
			for i, id := range ids {
				good = append(good, types.Signature{Signer: types.NodeID(i), Sig: id.Sign("d", msg)})
			}
			for n := range len(good) + 1 {
				if err := ids[0].VerifyAll("d", msg, good[:n]); err != nil {
					t.Errorf("%d good signatures: %v", n, err)
				}
			}
			for at := range good {
				for what, bad := range map[string]types.Signature{
					"a flipped bit":     {Signer: good[at].Signer, Sig: append(slices.Clone(good[at].Sig[:31]), ^good[at].Sig[31])},
					"another signer":    {Signer: (good[at].Signer + 1) % replicas, Sig: good[at].Sig},
					"a stranger":        {Signer: replicas, Sig: good[at].Sig},
					"a short signature": {Signer: good[at].Signer, Sig: good[at].Sig[1:]},
				} {
					sigs := slices.Clone(good)
					sigs[at] = bad
					if err := ids[0].VerifyAll("d", msg, sigs); !errors.Is(err, ErrSignature) {
						t.Errorf("%s at %d: error %v, want ErrSignature", what, at, err)
					}
				}
			}
			if err := ids[0].VerifyAll("e", msg, good); !errors.Is(err, ErrSignature) {
				t.Errorf("another domain: error %v, want ErrSignature", err)
			}
		})
	}
}

func TestTheKeyOfAJoiningReplicaIsAddedOnce(t *testing.T) {
	all := DeriveEd25519(1, replicas+3)
	joining := all[replicas+2]
	key := PublicKey(joining.private)
	sig := joining.Sign("d", nil)
	e := DeriveEd25519(1, replicas)
	for name, c := range map[string]Crypto{
		"ed25519": e[0], "counting": NewCounting(e[1]), "caching": NewCaching(e[2], 1),
	} {
		if err := c.AddKey(replicas+2, nil); !errors.Is(err, ErrKey) {
			t.Errorf("%s: no key: error %v, want ErrKey", name, err)
		}
		for range 2 {
			if err := c.AddKey(replicas+2, key); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if err := c.AddKey(replicas+2, nil); err != nil {
			t.Errorf("%s: an empty key for a known replica: %v", name, err)
		}
		if err := c.Verify(replicas+2, "d", nil, sig); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := c.Verify(replicas, "d", nil, sig); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: a replica between without a key: error %v, want ErrSignature", name, err)
		}
		for what, err := range map[string]error{
			"another key":      c.AddKey(replicas+2, PublicKey(all[0].private)),
			"a short key":      c.AddKey(replicas, key[1:]),
			"a great ID":       c.AddKey(types.MaxReplicas, key),
			"a founder's key":  c.AddKey(0, key),
			"the greatest one": c.AddKey(^types.NodeID(0), key),
		} {
			if !errors.Is(err, ErrKey) {
				t.Errorf("%s: %s: error %v, want ErrKey", name, what, err)
			}
		}
	}
	if err := e[3].Verify(replicas+2, "d", nil, sig); !errors.Is(err, ErrSignature) {
		t.Errorf("a replica that was told no key: error %v, want ErrSignature", err)
	}
}

func TestSimulatedTakesAnyIDAndIgnoresItsKey(t *testing.T) {
	c := NewSimulated(1, 0, replicas)
	if err := c.AddKey(replicas+1, []byte("any")); err != nil {
		t.Fatal(err)
	}
	if err := c.AddKey(0, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(replicas+1, "d", nil, NewSimulated(1, replicas+1, 0).Sign("d", nil)); err != nil {
		t.Error(err)
	}
	if err := c.Verify(replicas+2, "d", nil, NewSimulated(1, replicas+2, 0).Sign("d", nil)); !errors.Is(err, ErrSignature) {
		t.Errorf("a stranger: error %v, want ErrSignature", err)
	}
	if err := c.AddKey(types.MaxReplicas, nil); !errors.Is(err, ErrKey) {
		t.Errorf("a great ID: error %v, want ErrKey", err)
	}
}

func TestDerivedKeysDependOnSeedAndReplica(t *testing.T) {
	seen := map[string]bool{}
	for _, seed := range []uint64{1, 2} {
		for _, e := range DeriveEd25519(seed, 3) {
			seen[string(e.private)] = true
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d different keys of 6", len(seen))
	}
	if again := DeriveEd25519(1, 3); !seen[string(again[2].private)] {
		t.Error("the same seed gave another key")
	}
}

func TestNewEd25519RejectsKeysOfWrongLength(t *testing.T) {
	good := DeriveEd25519(1, 1)[0]
	if _, err := NewEd25519(good.private, good.public); err != nil {
		t.Errorf("good keys: %v", err)
	}
	if _, err := NewEd25519(good.private[1:], good.public); err == nil {
		t.Error("a short private key was accepted")
	}
	if _, err := NewEd25519(good.private, []ed25519.PublicKey{nil}); err == nil {
		t.Error("an empty public key was accepted")
	}
}

func TestCountingCountsEveryUse(t *testing.T) {
	c := NewCounting(NewSimulated(1, 0, 1))
	sig := c.Sign("d", make([]byte, 10))
	if c.Verify(0, "d", make([]byte, 10), sig) != nil || c.Verify(0, "d", make([]byte, 7), sig) == nil {
		t.Error("counting changes the outcome")
	}
	pair := []types.Signature{{Sig: sig}, {Sig: sig}}
	if c.VerifyAll("d", make([]byte, 10), pair) != nil {
		t.Error("counting changes the outcome for several")
	}
	if got, want := c.Counts(), (Counts{Signs: 1, Verifies: 4, Bytes: 47}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

func TestSigSetMakesACertificateThatVerifies(t *testing.T) {
	for name, ids := range implementations() {
		m, msg := quorum.Equal(replicas), []byte("message")
		set := NewSigSet(m)
		for _, signer := range []types.NodeID{3, 0, 3, 2, replicas} {
			set.Add(types.Signature{Signer: signer, Sig: ids[signer%replicas].Sign("d", msg)})
		}
		if set.Weight() != 3 || !set.Has(2) || set.Has(1) {
			t.Fatalf("%s: weight %d, has 2: %v, has 1: %v", name, set.Weight(), set.Has(2), set.Has(1))
		}
		if err := VerifyCert(m, ids[1], "d", msg, set.Sigs(), m.IsQuorum); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerifyCertRejects(t *testing.T) {
	ids, m, msg := implementations()["ed25519"], quorum.Equal(replicas), []byte("message")
	by := func(signers ...types.NodeID) (sigs []types.Signature) {
		for _, s := range signers {
			sigs = append(sigs, types.Signature{Signer: s, Sig: ids[s%replicas].Sign("d", msg)})
		}
		return sigs
	}
	forged := by(0, 1, 2)
	forged[2].Sig = forged[1].Sig
	cases := map[string][]types.Signature{
		"no signature":          nil,
		"too little weight":     by(0, 1),
		"a signer twice":        by(0, 1, 1, 2),
		"signers not ascending": by(0, 2, 1),
		"a stranger":            by(0, 1, 2, replicas),
		"a signature of others": forged,
	}
	for name, sigs := range cases {
		if err := VerifyCert(m, ids[0], "d", msg, sigs, m.IsQuorum); !errors.Is(err, ErrCert) {
			t.Errorf("%s: error %v, want ErrCert", name, err)
		}
	}
	if err := VerifyCert(m, ids[0], "d", msg, by(0, 1), m.HasCorrect); err != nil {
		t.Errorf("f+1 signatures where f+1 are enough: %v", err)
	}
}

func TestALightCertificateCostsNoVerification(t *testing.T) {
	m := quorum.Equal(replicas)
	c := NewCounting(NewSimulated(1, 0, replicas))
	sigs := []types.Signature{{Signer: 0, Sig: []byte("x")}, {Signer: 1, Sig: []byte("y")}}
	if VerifyCert(m, c, "d", nil, sigs, m.IsQuorum) == nil || c.Counts().Verifies != 0 {
		t.Errorf("%d signatures verified for a certificate that is too light", c.Counts().Verifies)
	}
}
