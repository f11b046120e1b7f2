package pbft

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/types"
)

// What the signatures of this package are for.
const (
	DomainPrepare    crypto.Domain = "trantor/pbft/prepare"
	DomainViewChange crypto.Domain = "trantor/pbft/view-change"
)

// prepareStatement is what pre-prepare and prepare sign: the segment, the slot,
// the view and the proposal's digest.
func prepareStatement(g types.Segment, v types.View, seq types.SeqNr, d types.Digest) []byte {
	return appendVote(appendSegment(nil, g), v, seq, d)
}

// changeStatement is what a view change signs: the segment, and a digest of the
// rest, which it also returns.
func changeStatement(g types.Segment, m ViewChange) ([]byte, types.Digest) {
	digest := types.Digest(sha256.Sum256(m.appendSigned(nil)))
	return append(appendSegment(nil, g), digest[:]...), digest
}

func appendSegment(dst []byte, g types.Segment) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(g.Epoch))
	return binary.LittleEndian.AppendUint32(dst, uint32(g.Leader))
}
