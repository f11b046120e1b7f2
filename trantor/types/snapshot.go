package types

import (
	"crypto/sha256"
	"encoding/binary"
)

// A snapshot travels in chunks of SnapshotChunkBytes, each verified by itself
// against the list of their digests, which the checkpoint's digest covers. A
// snapshot begins with what a replica must know before it can verify later
// checkpoints (the configurations of the coming epochs), so that the first chunk
// alone proves these.
const (
	SnapshotChunkBytes = 256 << 10
	SnapshotBytesMax   = 4 << 30
	SnapshotChunksMax  = SnapshotBytesMax / SnapshotChunkBytes // 16,384: a list of 512 KiB
)

// SnapshotChunks cuts a snapshot; the last chunk may be shorter. An empty
// snapshot has no chunk. The chunks alias data.
func SnapshotChunks(data []byte) [][]byte {
	chunks := make([][]byte, 0, (len(data)+SnapshotChunkBytes-1)/SnapshotChunkBytes)
	for len(data) > 0 {
		n := min(len(data), SnapshotChunkBytes)
		chunks = append(chunks, data[:n:n])
		data = data[n:]
	}
	return chunks
}

// ChunkDigests are those of a snapshot's chunks.
func ChunkDigests(data []byte) []Digest {
	chunks := SnapshotChunks(data)
	digests := make([]Digest, len(chunks))
	for i, c := range chunks {
		digests[i] = sha256.Sum256(c)
	}
	return digests
}

// ChunkListDigest is the digest of a snapshot of that many bytes with these chunks.
func ChunkListDigest(bytes uint64, chunks []Digest) Digest {
	h := sha256.New()
	h.Write(binary.LittleEndian.AppendUint64(nil, bytes))
	for _, c := range chunks {
		h.Write(c[:])
	}
	return Digest(h.Sum(nil))
}

// SnapshotDigest is what a checkpoint signs of a snapshot.
func SnapshotDigest(data []byte) Digest {
	return ChunkListDigest(uint64(len(data)), ChunkDigests(data))
}
