package types

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// ConfigClient is whose transactions change the configuration. They are ordered
// like any other, hold a Reconfig and not a payload of the application, and have
// a ReconfigResult for a result.
const ConfigClient ClientID = ^ClientID(0)

// Limits of a member. The largest configuration with every change that the
// epochs of one snapshot may bring is below a chunk, so that the first chunk of a
// snapshot holds all its configurations: 1,024 members of up to 8+4+36+100 bytes
// are 148 KiB, and 512 changes more are 74 KiB.
const (
	KeyBytes                  = 32      // Ed25519
	AddrBytesMax              = 96      // host:port
	WeightMax                 = 1 << 32 // as in package quorum
	ConfigEpochsMax           = 4096    // configurations in a snapshot, by epoch
	ConfigChangesMax          = 512     // changes between them
	memberWireBytesMin        = 4 + 8 + 4 + 4
	configurationRunBytesMin  = 4 + 4
	reconfigBytesMax          = 4 + 8 + memberWireBytesMin + KeyBytes + AddrBytesMax + 4 + SignatureBytes
	reconfigResultBytes       = 1 + 8
	reconfigStatementBytesMax = 4 + 8 + memberWireBytesMin + KeyBytes + AddrBytesMax
)

// Reconfig is one member's vote for one change of the configuration: that a
// replica has this weight, key and address. Votes of a quorum of the members for
// the same change make it.
type Reconfig struct {
	Voter NodeID
	// No rises with each vote of a voter, so that nobody can repeat an old one.
	No     uint64
	Change Member
	Sig    []byte // By the voter's replica key, over Statement.
}

// Statement is what the voter signs.
func (r Reconfig) Statement() []byte {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, reconfigStatementBytesMax), uint32(r.Voter))
	b = binary.LittleEndian.AppendUint64(b, r.No)
	return AppendMember(b, r.Change)
}

// Encode is the transaction's payload.
func (r Reconfig) Encode() []byte { return AppendBytes(r.Statement(), r.Sig) }

// DecodeReconfig is the reverse of Encode.
func DecodeReconfig(payload []byte) (Reconfig, error) {
	if len(payload) > reconfigBytesMax {
		return Reconfig{}, fmt.Errorf("reconfiguration of %d bytes, limit %d", len(payload), reconfigBytesMax)
	}
	r := NewReader(payload)
	out := Reconfig{Voter: NodeID(r.U32()), No: r.U64(), Change: ReadMember(r), Sig: r.Bytes(SignatureBytes)}
	if err := r.Close(); err != nil {
		return Reconfig{}, fmt.Errorf("reconfiguration: %w", err)
	}
	return out, nil
}

// ReconfigStatus is what became of a vote.
type ReconfigStatus byte

// The statuses. Their values are part of the encoding.
const (
	ReconfigCounted   ReconfigStatus = 0 // More votes are needed.
	ReconfigApplied   ReconfigStatus = 1 // The configuration has it from ReconfigResult.Epoch on, at the latest.
	ReconfigMalformed ReconfigStatus = 2 // The payload is no vote.
	ReconfigStranger  ReconfigStatus = 3 // The voter is no member, or did not sign.
	ReconfigStale     ReconfigStatus = 4 // The voter has cast a vote with this number or a higher one.
	ReconfigInvalid   ReconfigStatus = 5 // No configuration can have the change.
	ReconfigTooMany   ReconfigStatus = 6 // Too many changes are on their way. Vote again later.
)

func (s ReconfigStatus) String() string {
	names := []string{"counted", "applied", "malformed", "stranger", "stale", "invalid", "too many changes"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("ReconfigStatus(%d)", byte(s))
}

// ReconfigResult is the result of a transaction of ConfigClient.
type ReconfigResult struct {
	Status ReconfigStatus
	Epoch  Epoch // With ReconfigApplied: the first that has the change.
}

// Encode is the result as it is delivered.
func (r ReconfigResult) Encode() []byte {
	return binary.LittleEndian.AppendUint64([]byte{byte(r.Status)}, uint64(r.Epoch))
}

// DecodeReconfigResult is the reverse of Encode.
func DecodeReconfigResult(b []byte) (ReconfigResult, error) {
	if len(b) != reconfigResultBytes || ReconfigStatus(b[0]) > ReconfigTooMany {
		return ReconfigResult{}, fmt.Errorf("reconfiguration result: %x", b)
	}
	return ReconfigResult{Status: ReconfigStatus(b[0]), Epoch: Epoch(binary.LittleEndian.Uint64(b[1:]))}, nil
}

// AppendMember appends m; ReadMember is its reverse.
func AppendMember(dst []byte, m Member) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(m.Node))
	dst = binary.LittleEndian.AppendUint64(dst, m.Weight)
	dst = AppendBytes(dst, m.Key)
	return AppendBytes(dst, []byte(m.Addr))
}

// ReadMember reads what AppendMember wrote.
func ReadMember(r *Reader) Member {
	m := Member{Node: NodeID(r.U32()), Weight: r.U64(), Key: r.Bytes(KeyBytes), Addr: string(r.Bytes(AddrBytesMax))}
	if len(m.Key) == 0 {
		m.Key = nil
	}
	if err := m.Validate(); r.Err() == nil && err != nil {
		r.Fail(err)
	}
	return m
}

// Validate reports what no member can have.
func (m Member) Validate() error {
	switch {
	case m.Node >= MaxReplicas:
		return fmt.Errorf("replica %d, limit %d", m.Node, MaxReplicas-1)
	case m.Weight > WeightMax:
		return fmt.Errorf("weight %d of replica %d, limit %d", m.Weight, m.Node, uint64(WeightMax))
	case len(m.Key) != 0 && len(m.Key) != KeyBytes:
		return fmt.Errorf("key of %d bytes of replica %d, want %d or none", len(m.Key), m.Node, KeyBytes)
	case len(m.Addr) > AddrBytesMax:
		return fmt.Errorf("address of %d bytes of replica %d, limit %d", len(m.Addr), m.Node, AddrBytesMax)
	}
	return nil
}

// Equal tells whether two members are the same in everything.
func (m Member) Equal(other Member) bool {
	return m.Node == other.Node && m.Weight == other.Weight && string(m.Key) == string(other.Key) && m.Addr == other.Addr
}

// With is the configuration after a change of one member: one that it has, or
// the next. The receiver stays as it is.
func (c Configuration) With(change Member) (Configuration, error) {
	if err := change.Validate(); err != nil {
		return c, err
	}
	members := slices.Clone(c.Members)
	switch n := NodeID(len(members)); {
	case change.Node > n:
		return c, fmt.Errorf("replica %d of a configuration of %d: IDs have no gaps", change.Node, n)
	case change.Node == n:
		members = append(members, change)
	case string(members[change.Node].Key) != string(change.Key):
		return c, fmt.Errorf("another key of replica %d: a key of an ID never changes", change.Node)
	default:
		members[change.Node] = change
	}
	changed := Configuration{Members: members}
	_, err := changed.Quorums()
	return changed, err
}
