package types

import (
	"encoding/binary"
	"fmt"
)

// SnapshotHeader is how every snapshot begins. It is what a replica needs in
// order to verify the checkpoints that come after, without the rest.
type SnapshotHeader struct {
	Epoch   Epoch         // The snapshot is the state after it.
	Next    SeqNr         // The first position of the next epoch.
	Configs []EpochConfig // Of Epoch+1 and the following epochs, as far as the state determines them; at least one.
}

// AppendWire appends epoch, next position and the configurations, run-length
// coded: for each run of equal ones how many epochs it lasts and what is
// different from the run before, the members in order. Equal headers give equal
// bytes.
func (h SnapshotHeader) AppendWire(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Epoch))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Next))
	countAt, runs := len(dst), uint32(0)
	dst = append(dst, 0, 0, 0, 0)
	var before Configuration
	for at := 0; at < len(h.Configs); runs++ {
		config := h.Configs[at].Config
		changes := changedMembers(before, config)
		n := 1
		for at+n < len(h.Configs) && len(changedMembers(config, h.Configs[at+n].Config)) == 0 {
			n++
		}
		dst = binary.LittleEndian.AppendUint32(dst, uint32(n))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(changes)))
		for _, m := range changes {
			dst = AppendMember(dst, m)
		}
		before, at = config, at+n
	}
	binary.LittleEndian.PutUint32(dst[countAt:], runs)
	return dst
}

// changedMembers are those of a configuration that are not in the one before.
func changedMembers(before, after Configuration) (changed []Member) {
	for i, m := range after.Members {
		if i >= len(before.Members) || !m.Equal(before.Members[i]) {
			changed = append(changed, m)
		}
	}
	return changed
}

// ReadSnapshotHeader reads what AppendWire wrote.
func ReadSnapshotHeader(r *Reader) SnapshotHeader {
	h := SnapshotHeader{Epoch: Epoch(r.U64()), Next: SeqNr(r.U64())}
	runs := r.Count(ConfigEpochsMax, configurationRunBytesMin)
	if r.Err() == nil && runs == 0 {
		r.Fail(fmt.Errorf("snapshot header without a configuration"))
	}
	var config Configuration
	for range runs {
		epochs := r.U32()
		config = readChanges(r, config)
		members, err := config.Quorums()
		switch {
		case r.Err() != nil:
			return h
		case err != nil:
			r.Fail(err)
			return h
		case epochs == 0 || uint64(epochs)+uint64(len(h.Configs)) > ConfigEpochsMax:
			r.Fail(fmt.Errorf("configuration of %d epochs after %d, limit %d", epochs, len(h.Configs), ConfigEpochsMax))
			return h
		}
		for range epochs {
			e := h.Epoch + 1 + Epoch(len(h.Configs))
			h.Configs = append(h.Configs, EpochConfig{Epoch: e, Config: config, Members: members})
		}
	}
	return h
}

// readChanges reads what is different from the configuration before. Each change
// must be one, and they must come in order.
func readChanges(r *Reader, before Configuration) Configuration {
	n := r.Count(MaxReplicas, memberWireBytesMin)
	if r.Err() == nil && n == 0 {
		r.Fail(fmt.Errorf("configuration that is the one before"))
	}
	after := Configuration{Members: append([]Member(nil), before.Members...)}
	last := -1
	for range n {
		m := ReadMember(r)
		switch at := int(m.Node); {
		case r.Err() != nil:
			return before
		case at <= last || at > len(after.Members):
			r.Fail(fmt.Errorf("member %d after %d of %d", at, last, len(after.Members)))
			return before
		case at == len(after.Members):
			after.Members = append(after.Members, m)
		case m.Equal(after.Members[at]):
			r.Fail(fmt.Errorf("member %d is listed and has not changed", at))
			return before
		default:
			after.Members[at] = m
		}
		last = int(m.Node)
	}
	return after
}
