package statetransfer

import (
	"encoding/binary"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// Wire tags 60 to 69 belong to this package.
const (
	tagGetList  = 60
	tagList     = 61
	tagGetChunk = 62
	tagChunk    = 63
)

// GetList asks for the digests of the chunks of an epoch's snapshot.
type GetList struct{ Epoch types.Epoch }

// List answers it.
type List struct {
	Epoch  types.Epoch
	Bytes  uint64 // The snapshot's.
	Chunks []types.Digest
}

// GetChunk asks for one chunk.
type GetChunk struct {
	Epoch types.Epoch
	Index uint32
}

// Chunk answers it.
type Chunk struct {
	Epoch types.Epoch
	Index uint32
	Data  []byte
}

func (GetList) EventName() string  { return "statetransfer.GetList" }
func (List) EventName() string     { return "statetransfer.List" }
func (GetChunk) EventName() string { return "statetransfer.GetChunk" }
func (Chunk) EventName() string    { return "statetransfer.Chunk" }

// WireTag implements types.WireMessage, as AppendWire does.
func (GetList) WireTag() byte  { return tagGetList }
func (List) WireTag() byte     { return tagList }
func (GetChunk) WireTag() byte { return tagGetChunk }
func (Chunk) WireTag() byte    { return tagChunk }

// AppendWire appends the epoch.
func (m GetList) AppendWire(dst []byte) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(m.Epoch))
}

// AppendWire appends epoch, size and digests.
func (m List) AppendWire(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Epoch))
	dst = binary.LittleEndian.AppendUint64(dst, m.Bytes)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(m.Chunks)))
	for _, d := range m.Chunks {
		dst = append(dst, d[:]...)
	}
	return dst
}

// AppendWire appends epoch and index.
func (m GetChunk) AppendWire(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Epoch))
	return binary.LittleEndian.AppendUint32(dst, m.Index)
}

// AppendWire appends epoch, index and data.
func (m Chunk) AppendWire(dst []byte) []byte {
	return types.AppendBytes(GetChunk{Epoch: m.Epoch, Index: m.Index}.AppendWire(dst), m.Data)
}

// RegisterMessages makes a codec understand this package's messages.
func RegisterMessages(c *types.Codec) {
	c.Register(tagGetList, func(r *types.Reader) (mir.Message, error) {
		return GetList{Epoch: types.Epoch(r.U64())}, nil
	})
	c.Register(tagList, func(r *types.Reader) (mir.Message, error) {
		m := List{Epoch: types.Epoch(r.U64()), Bytes: r.U64()}
		m.Chunks = make([]types.Digest, r.Count(types.SnapshotChunksMax, len(types.Digest{})))
		for i := range m.Chunks {
			m.Chunks[i] = r.Digest()
		}
		return m, nil
	})
	c.Register(tagGetChunk, func(r *types.Reader) (mir.Message, error) {
		return GetChunk{Epoch: types.Epoch(r.U64()), Index: r.U32()}, nil
	})
	c.Register(tagChunk, func(r *types.Reader) (mir.Message, error) {
		return Chunk{Epoch: types.Epoch(r.U64()), Index: r.U32(), Data: r.Bytes(types.SnapshotChunkBytes)}, nil
	})
}
