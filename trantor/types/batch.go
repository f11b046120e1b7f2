package types

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Sizes of the batch encoding: a 32-bit transaction count, then for each
// transaction its client, its number, its payload length and the payload.
const (
	BatchHeaderBytes = 4
	TxHeaderBytes    = 8 + 8 + 4
)

// ErrBatch is what every error of DecodeBatch wraps.
var ErrBatch = errors.New("malformed batch")

// EncodedTxBytes is what a transaction adds to the encoding of its batch.
func EncodedTxBytes(tx Tx) int { return TxHeaderBytes + len(tx.Payload) }

// EncodeBatch puts transactions into one contiguous buffer. The mempool closes
// a batch within MaxBatchTxs and MaxBatchBytes; more, or none at all, is a
// broken invariant and panics.
func EncodeBatch(txs []Tx) []byte {
	size := BatchHeaderBytes
	for _, tx := range txs {
		size += EncodedTxBytes(tx)
	}
	if len(txs) == 0 || len(txs) > MaxBatchTxs || size > MaxBatchBytes {
		panic(fmt.Sprintf("types: invariant broken: batch of %d transactions and %d bytes, want 1 to %d and at most %d",
			len(txs), size, MaxBatchTxs, MaxBatchBytes))
	}
	b := make([]byte, 0, size)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(txs)))
	for _, tx := range txs {
		b = binary.LittleEndian.AppendUint64(b, uint64(tx.Client))
		b = binary.LittleEndian.AppendUint64(b, uint64(tx.No))
		b = AppendBytes(b, tx.Payload)
	}
	return b
}

// DecodeBatch is the reverse of EncodeBatch and accepts nothing that
// EncodeBatch would not write: the encoding of a list of transactions is
// unique. Payloads alias b, which must not change afterwards.
func DecodeBatch(b []byte) ([]Tx, error) {
	if len(b) > MaxBatchBytes {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrBatch, len(b), MaxBatchBytes)
	}
	r := NewReader(b)
	n := r.Count(MaxBatchTxs, TxHeaderBytes)
	if n == 0 && r.Err() == nil {
		return nil, fmt.Errorf("%w: no transaction", ErrBatch)
	}
	txs := make([]Tx, n)
	for i := range txs {
		txs[i].Client = ClientID(r.U64())
		txs[i].No = TxNo(r.U64())
		txs[i].Payload = r.view()
	}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBatch, err)
	}
	return txs, nil
}

// HashBatch is the digest of an encoded batch.
func HashBatch(b []byte) Digest { return sha256.Sum256(b) }

// VoidDigest is that of the empty batch, which no mempool makes. A certificate
// with it uses up a number of its creator and delivers nothing.
var VoidDigest = HashBatch(nil)

// view reads a 32-bit length and that many bytes without copying them. The
// capacity is cut so that an append cannot reach the next field.
func (r *Reader) view() []byte {
	n := r.U32()
	if uint64(n) > uint64(len(r.b)) {
		r.Fail(ErrTruncated)
		return nil
	}
	b := r.take(int(n))
	return b[:len(b):len(b)]
}
