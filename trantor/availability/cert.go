package availability

import (
	"encoding/binary"
	"fmt"

	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// AckDomain is what acknowledgements are signed for.
const AckDomain crypto.Domain = "trantor/availability/ack"

// VerifyCert checks a certificate of availability under the members m, those of
// the epoch in which it is to be ordered. It has no state and may be called from
// anywhere.
func VerifyCert(m quorum.Membership, c crypto.Crypto, cert types.Certificate) error {
	if !m.Has(cert.Creator) {
		return fmt.Errorf("availability: creator %d is no member", cert.Creator)
	}
	id := BatchID{Creator: cert.Creator, No: cert.No, Digest: cert.Batch}
	if err := crypto.VerifyCert(m, c, AckDomain, signedAck(id), cert.Sigs, m.HasCorrect); err != nil {
		return fmt.Errorf("availability: batch %s of replica %d: %w", cert.Batch, cert.Creator, err)
	}
	return nil
}

// signedAck is what an acknowledgement signs.
func signedAck(id BatchID) []byte {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, 4+8+len(id.Digest)), uint32(id.Creator))
	b = binary.LittleEndian.AppendUint64(b, uint64(id.No))
	return append(b, id.Digest[:]...)
}
