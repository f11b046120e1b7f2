package crypto

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// ErrCert is what every error of VerifyCert wraps.
var ErrCert = errors.New("invalid certificate")

// VerifyCert checks that sigs are valid signatures on msg for domain, sorted by
// signer without repetition, by members only, and that their weight is enough
// (Membership.IsQuorum or Membership.HasCorrect, say). The cheap checks come
// first, so that a set that is too light costs no verification.
func VerifyCert(m quorum.Membership, c Crypto, domain Domain, msg []byte,
	sigs []types.Signature, enough func(weight uint64) bool) error {
	var weight uint64
	for i, s := range sigs {
		if !m.Has(s.Signer) {
			return fmt.Errorf("%w: replica %d is no member", ErrCert, s.Signer)
		}
		if i > 0 && s.Signer <= sigs[i-1].Signer {
			return fmt.Errorf("%w: signer %d after %d", ErrCert, s.Signer, sigs[i-1].Signer)
		}
		weight += m.Weight(s.Signer)
	}
	if !enough(weight) {
		return fmt.Errorf("%w: weight %d is not enough", ErrCert, weight)
	}
	if err := c.VerifyAll(domain, msg, sigs); err != nil {
		return fmt.Errorf("%w: %w", ErrCert, err)
	}
	return nil
}

// SigSet collects signatures on one message until their weight is enough.
// It does not verify them: the collector does, before Add.
type SigSet struct {
	members quorum.Membership
	sigs    []types.Signature
	weight  uint64
}

// NewSigSet is an empty set for the members m.
func NewSigSet(m quorum.Membership) *SigSet { return &SigSet{members: m} }

// Add puts s in its place. It returns false, and changes nothing, if the signer
// is no member or is in already.
func (s *SigSet) Add(sig types.Signature) bool {
	at, found := s.find(sig.Signer)
	if found || !s.members.Has(sig.Signer) {
		return false
	}
	s.sigs = slices.Insert(s.sigs, at, sig)
	s.weight += s.members.Weight(sig.Signer)
	return true
}

// Has tells whether the signer is in.
func (s *SigSet) Has(signer types.NodeID) bool {
	_, found := s.find(signer)
	return found
}

// Weight is the weight of all signers in the set.
func (s *SigSet) Weight() uint64 { return s.weight }

// Sigs is a copy of the set, sorted by signer as VerifyCert wants it.
func (s *SigSet) Sigs() []types.Signature { return slices.Clone(s.sigs) }

func (s *SigSet) find(signer types.NodeID) (int, bool) {
	return slices.BinarySearchFunc(s.sigs, signer, func(have types.Signature, want types.NodeID) int {
		return cmp.Compare(have.Signer, want)
	})
}
