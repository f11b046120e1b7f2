package checkpoint

import (
	"encoding/binary"
	"fmt"

	"github.com/perfgate/perfgate/trantor/types"
)

// Records of this package begin with types.RecordsCheckpoint and a kind. Then
// comes an epoch, and for what may be large the number of the part, big-endian.
const (
	recordCertificate byte = 'k' // By epoch: signatures.
	recordProof       byte = 'p' // By the epoch of the change, in parts: a Proof.
	recordSnapshot    byte = 's' // By epoch, in parts: own, or of a checkpoint that was transferred.
)

// partBytes bounds the values of records.
const partBytes = types.SnapshotChunkBytes

const (
	epochKeyBytes = 2 + 8
	partKeyBytes  = epochKeyBytes + 4
)

func epochKey(kind byte, e uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{types.RecordsCheckpoint, kind}, e)
}

// between is all records of a kind from one epoch up to but not including another.
func between(kind byte, from, to types.Epoch) types.KeyRange {
	return types.KeyRange{From: epochKey(kind, uint64(from)), To: epochKey(kind, uint64(to))}
}

func certificateRecord(s types.StableCheckpoint) types.Record {
	return types.Record{Key: epochKey(recordCertificate, uint64(s.Epoch)), Value: Certificate(s).AppendWire(nil)}
}

// appendParts appends the records of one large value. An empty one has one part.
func appendParts(dst []types.Record, kind byte, e uint64, data []byte) []types.Record {
	for part := uint32(0); part == 0 || len(data) > 0; part++ {
		n := min(len(data), partBytes)
		dst = append(dst, types.Record{Key: binary.BigEndian.AppendUint32(epochKey(kind, e), part), Value: data[:n:n]})
		data = data[n:]
	}
	return dst
}

// large is a value in parts.
type large struct {
	epoch types.Epoch
	parts int
	data  []byte
	short bool // A part was shorter than others may be, so it is the last.
}

// recovered is what records say, before it is put together.
type recovered struct {
	certificates []types.StableCheckpoint
	snapshots    []*large
	proofs       []*large
}

// Recover goes on after a restart: from the latest stable checkpoint of which
// the snapshot is held. The state comes from this module, so from is nil.
func (c *Checkpoint) Recover(records []types.Record, _ *types.Restored) error {
	c.restarted = len(records) > 0
	found, err := read(records)
	if err != nil {
		return fmt.Errorf("recovering checkpoint: %w", err)
	}
	for _, s := range found.snapshots {
		c.snapshots = append(c.snapshots, &snapshot{epoch: s.epoch, digest: types.SnapshotDigest(s.data), data: s.data, durable: true})
	}
	for _, s := range found.certificates {
		if err := c.recoverStable(s); err != nil {
			return fmt.Errorf("recovering checkpoint: %w", err)
		}
	}
	for _, l := range found.proofs {
		r := types.NewReader(l.data)
		p := &proof{since: l.epoch, msg: readProof(r)}
		if err := r.Close(); err != nil {
			return fmt.Errorf("recovering checkpoint: proof of epoch %d: %w", l.epoch, err)
		}
		c.proofs = append(c.proofs, p)
	}
	return nil
}

// recoverStable takes certificates in ascending order.
func (c *Checkpoint) recoverStable(s types.StableCheckpoint) error {
	c.stable, c.next = s, s.Epoch+1
	c.passed = append(c.passed, s)
	for len(c.snapshots) > 0 && c.snapshots[0].epoch <= s.Epoch {
		own := c.snapshots[0]
		c.snapshots = c.snapshots[1:]
		if own.epoch < s.Epoch {
			continue
		}
		if own.digest != s.Digest {
			return fmt.Errorf("snapshot of epoch %d has digest %s, the certificate %s", s.Epoch, own.digest, s.Digest)
		}
		header, err := headerOf(s.Epoch, own.data)
		if err != nil {
			return err
		}
		c.held, c.executed, c.passed = &held{checkpoint: s, data: own.data}, s.Epoch+1, nil
		for _, config := range header.Configs {
			for _, m := range config.Config.Members {
				_ = c.cfg.Crypto.AddKey(m.Node, m.Key) // As in onProof.
			}
		}
		c.learn(header.Configs)
	}
	return nil
}

// read sorts records, which come in ascending order, by kind.
func read(records []types.Record) (*recovered, error) {
	found := &recovered{}
	for _, rec := range records {
		if len(rec.Key) < epochKeyBytes || rec.Key[0] != types.RecordsCheckpoint {
			return nil, fmt.Errorf("record %x: no key of this module", rec.Key)
		}
		var err error
		switch kind := rec.Key[1]; kind {
		case recordCertificate:
			err = found.addCertificate(rec)
		case recordProof:
			found.proofs, err = addPart(found.proofs, rec)
		case recordSnapshot:
			found.snapshots, err = addPart(found.snapshots, rec)
		default:
			err = fmt.Errorf("unknown kind %d", kind)
		}
		if err != nil {
			return nil, fmt.Errorf("record %x: %w", rec.Key, err)
		}
	}
	return found, nil
}

func (f *recovered) addCertificate(rec types.Record) error {
	r := types.NewReader(rec.Value)
	m := readCertificate(r)
	if err := r.Close(); err != nil {
		return err
	}
	if string(rec.Key) != string(epochKey(recordCertificate, uint64(m.Epoch))) {
		return fmt.Errorf("certificate of epoch %d", m.Epoch)
	}
	f.certificates = append(f.certificates, types.StableCheckpoint(m))
	return nil
}

// addPart appends the next part of a large value.
func addPart(all []*large, rec types.Record) ([]*large, error) {
	if len(rec.Key) != partKeyBytes {
		return nil, fmt.Errorf("key of %d bytes, want %d", len(rec.Key), partKeyBytes)
	}
	epoch := types.Epoch(binary.BigEndian.Uint64(rec.Key[2:]))
	part := int(binary.BigEndian.Uint32(rec.Key[epochKeyBytes:]))
	if len(all) == 0 || all[len(all)-1].epoch != epoch {
		all = append(all, &large{epoch: epoch})
	}
	l := all[len(all)-1]
	if part != l.parts || l.short || len(rec.Value) > partBytes {
		return nil, fmt.Errorf("part %d of %d bytes after %d parts", part, len(rec.Value), l.parts)
	}
	l.parts++
	l.data = append(l.data, rec.Value...)
	l.short = len(rec.Value) < partBytes
	return all, nil
}
