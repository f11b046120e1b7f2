package pbft

import (
	"encoding/binary"
	"fmt"

	"github.com/perfgate/perfgate/trantor/types"
)

// What an instance writes down. A key is types.SegmentKey, one byte that says
// what kind of record it is, and the slot, big-endian; the value is that of the
// kind. A later record of one key replaces the earlier one.
const (
	recordView     byte = 1 // The view that was left for. No slot.
	recordNewView  byte = 2 // The latest new view, of the view that was entered or is led. No slot.
	recordSigned   byte = 3 // The latest prepare statement that was signed for a slot.
	recordPrepared byte = 4 // The highest prepared certificate of a slot.
)

// record is a decoded one. Which fields are set depends on the kind.
type record struct {
	epoch  types.Epoch
	leader types.NodeID
	kind   byte
	seq    types.SeqNr

	view     types.View
	newView  NewView
	signed   signedStatement
	proposal *types.Proposal // Of a signed pre-prepare; nil where a prepare was signed.
	prepared certified
}

func recordKey(g types.Segment, kind byte, seq types.SeqNr) []byte {
	return binary.BigEndian.AppendUint64(append(types.SegmentKey(g.Epoch, g.Leader), kind), uint64(seq))
}

func viewRecord(g types.Segment, v types.View) types.Record {
	return types.Record{Key: recordKey(g, recordView, 0), Value: binary.LittleEndian.AppendUint32(nil, uint32(v))}
}

func newViewRecord(g types.Segment, m NewView) types.Record {
	return types.Record{Key: recordKey(g, recordNewView, 0), Value: m.AppendWire(nil)}
}

// signedRecord holds view, digest, signature, and of the leader's own statement
// the proposal, which it sends again.
func signedRecord(g types.Segment, seq types.SeqNr, s *signedStatement, p *types.Proposal) types.Record {
	value := binary.LittleEndian.AppendUint32(nil, uint32(s.view))
	value = types.AppendBytes(append(value, s.digest[:]...), s.sig)
	if p == nil {
		value = append(value, 0)
	} else {
		value = types.AppendProposal(append(value, 1), *p)
	}
	return types.Record{Key: recordKey(g, recordSigned, seq), Value: value}
}

// preparedRecord holds view, proposal, signatures.
func preparedRecord(g types.Segment, p certified) types.Record {
	value := appendProof(binary.LittleEndian.AppendUint32(nil, uint32(p.View)), p.Proof)
	return types.Record{Key: recordKey(g, recordPrepared, p.Seq), Value: value}
}

// CheckRecord tells whether a record is one that an instance may have written.
func CheckRecord(rec types.Record) error {
	_, err := decodeRecord(rec)
	return err
}

func decodeRecord(rec types.Record) (record, error) {
	epoch, leader, rest, ok := types.SplitSegmentKey(rec.Key)
	if !ok || len(rest) != 1+8 {
		return record{}, fmt.Errorf("pbft record %x: not a key", rec.Key)
	}
	out := record{epoch: epoch, leader: leader, kind: rest[0], seq: types.SeqNr(binary.BigEndian.Uint64(rest[1:]))}
	r := types.NewReader(rec.Value)
	switch out.kind {
	case recordView:
		out.view = types.View(r.U32())
		out.checkView(r, out.view)
	case recordNewView:
		out.newView = readNewView(r)
		out.checkView(r, out.newView.View)
		if _, err := out.newView.chosen(); err != nil {
			r.Fail(err)
		}
	case recordSigned:
		out.readSigned(r)
	case recordPrepared:
		out.prepared = certified{Prepared{Seq: out.seq, View: types.View(r.U32())}, readProof(r)}
		out.prepared.Digest = digestOf(out.prepared.Proposal)
	default:
		r.Fail(fmt.Errorf("kind %d", out.kind))
	}
	if err := r.Close(); err != nil {
		return record{}, fmt.Errorf("pbft record %x: %w", rec.Key, err)
	}
	return out, nil
}

// checkView is for records that are about a view above 0 and no slot.
func (out *record) checkView(r *types.Reader, v types.View) {
	if v == 0 || out.seq != 0 {
		r.Fail(fmt.Errorf("view %d, slot %d", v, out.seq))
	}
}

func (out *record) readSigned(r *types.Reader) {
	out.signed = signedStatement{view: types.View(r.U32()), digest: r.Digest(), sig: r.Bytes(types.SignatureBytes)}
	switch with := r.U8(); with {
	case 0:
	case 1:
		p := types.ReadProposal(r)
		if out.signed.view > 0 || digestOf(p) != out.signed.digest {
			r.Fail(fmt.Errorf("proposal %s with a signature on %s in view %d", digestOf(p), out.signed.digest, out.signed.view))
		}
		out.proposal = &p
	default:
		r.Fail(fmt.Errorf("%d where 1 says that there is a proposal", with))
	}
}
