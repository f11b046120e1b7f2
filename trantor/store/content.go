package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/RaduBerinde/btreemap"
	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2"

	"github.com/perfgate/perfgate/trantor/types"
)

// The header is the one record that is not a module's: its key sorts before all
// of theirs.
var (
	headerKey   = []byte{0}
	firstRecord = []byte{1}
)

// Sizes in Pebble's encoding of a batch: its header is a sequence number and a
// count, and an entry a kind, two lengths, key and value.
const (
	batchHeaderBytes = 8 + 4
	headerBytes      = 8 + 8 + 8
)

// mustBeRecords panics at keys that are not a module's.
func mustBeRecords(p types.Persist) {
	for _, r := range p.Puts {
		if bytes.Compare(r.Key, firstRecord) < 0 {
			panic(fmt.Sprintf("store: invariant broken: a record with key %x", r.Key))
		}
	}
	for _, r := range p.Deletes {
		if bytes.Compare(r.From, firstRecord) < 0 {
			panic(fmt.Sprintf("store: invariant broken: records deleted from key %x", r.From))
		}
	}
}

// header is what each group begins with.
type header struct {
	secret secret
	groups uint64 // This group's number, from 1.
	sum    uint64 // Of the hashes of all records after it.
}

func (h header) encode() []byte {
	b := append([]byte(nil), h.secret[:]...)
	b = binary.LittleEndian.AppendUint64(b, h.groups)
	return binary.LittleEndian.AppendUint64(b, h.sum)
}

func decodeHeader(b []byte) (header, error) {
	if len(b) != headerBytes {
		return header{}, fmt.Errorf("the store's header has %d bytes, want %d", len(b), headerBytes)
	}
	return header{
		secret: secret(b[:8]),
		groups: binary.LittleEndian.Uint64(b[8:]),
		sum:    binary.LittleEndian.Uint64(b[16:]),
	}, nil
}

// groupPrefix is how a group begins behind the batch's header: the entry that
// sets the header, as far as it is the same for all groups.
func groupPrefix(mark secret) []byte {
	return append([]byte{byte(pebble.InternalKeyKindSet), byte(len(headerKey)), headerKey[0], headerBytes}, mark[:]...)
}

// content is what the store holds, without the values.
type content struct {
	groups uint64
	index  *btreemap.BTreeMap[string, uint64] // The hash of each record.
	sum    uint64                             // Of the hashes, so that order does not matter.
}

func newContent() content {
	return content{index: btreemap.New[string, uint64](32, cmp.Compare[string])}
}

// put says that a record is there now.
func (c *content) put(key, value []byte) {
	hash := recordHash(key, value)
	_, old, _ := c.index.ReplaceOrInsert(string(key), hash)
	c.sum += hash - old
}

// remove says that a range is empty now, and tells what was in it.
func (c *content) remove(r types.KeyRange) (keys []string) {
	if bytes.Compare(r.From, r.To) >= 0 {
		return nil
	}
	for key := range c.index.Ascend(btreemap.GE(string(r.From)), btreemap.LT(string(r.To))) {
		keys = append(keys, key)
	}
	for _, key := range keys {
		_, hash, _ := c.index.Delete(key)
		c.sum -= hash
	}
	return keys
}

// recordHash separates key and value by the key's length. It detects accidents:
// who can write to the disk on purpose has the replica's key too.
func recordHash(key, value []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(key)))) // A hash never fails to take bytes.
	_, _ = d.Write(key)
	_, _ = d.Write(value)
	return d.Sum64()
}

// fill makes the next group of persists. It tells how many records are put and
// their bytes.
func (c *content) fill(batch *pebble.Batch, persists []types.Persist, mark secret) (records, size uint64, err error) {
	// The header comes first in the log, and its sum is known last: its place is
	// reserved here.
	place := batch.SetDeferred(len(headerKey), headerBytes)
	copy(place.Key, headerKey)
	copy(place.Value, header{secret: mark}.encode())
	err = place.Finish()
	for _, p := range persists {
		for _, r := range p.Deletes {
			err = errors.Join(err, c.fillDelete(batch, r))
		}
		for _, r := range p.Puts {
			c.put(r.Key, r.Value)
			err = errors.Join(err, batch.Set(r.Key, r.Value, nil))
			records++
			size += uint64(len(r.Key) + len(r.Value))
		}
	}
	c.groups++
	at := batchHeaderBytes + len(groupPrefix(mark)) - len(mark)
	copy(batch.Repr()[at:], header{secret: mark, groups: c.groups, sum: c.sum}.encode())
	return records, size, err
}

// fillDelete deletes a range. A single record, the most frequent case, has no
// need of a range tombstone, which slows down every later reading.
func (c *content) fillDelete(batch *pebble.Batch, r types.KeyRange) error {
	switch keys := c.remove(r); len(keys) {
	case 0:
		return nil
	case 1:
		return batch.Delete([]byte(keys[0]), nil)
	default:
		return batch.DeleteRange(r.From, r.To, nil)
	}
}
