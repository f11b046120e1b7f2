package app

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/perfgate/perfgate/trantor/types"
)

// Op is what a key-value payload asks for.
type Op byte

// The operations. Their values are part of the encoding.
const (
	Put    Op = 1 // set Key to Value
	Get    Op = 2 // read Key
	Delete Op = 3 // remove Key
	CAS    Op = 4 // set Key to Value if it holds Old
)

// Status is the first byte of a result.
type Status byte

// The statuses. Their values are part of the encoding.
const (
	OK       Status = 0
	NotFound Status = 1 // Get, Delete and CAS of a key that is not set
	Mismatch Status = 2 // CAS: the key holds another value, which the result carries
	Invalid  Status = 3 // the payload is no command
)

// KeyBytesMax bounds a key; a value is bounded by the payload it comes in.
const KeyBytesMax = 1 << 10

// Command is one key-value operation.
type Command struct {
	Op    Op
	Key   []byte
	Value []byte // Put, CAS
	Old   []byte // CAS
}

// Encode is the payload of the command: the operation, then the fields that
// the operation has.
func (c Command) Encode() []byte {
	b := types.AppendBytes([]byte{byte(c.Op)}, c.Key)
	switch c.Op {
	case Put:
		b = types.AppendBytes(b, c.Value)
	case CAS:
		b = types.AppendBytes(b, c.Value)
		b = types.AppendBytes(b, c.Old)
	}
	return b
}

// DecodeCommand is the reverse of Encode.
func DecodeCommand(payload []byte) (Command, error) {
	r := types.NewReader(payload)
	c := Command{Op: Op(r.U8()), Key: r.Bytes(KeyBytesMax)}
	switch c.Op {
	case Get, Delete:
	case Put:
		c.Value = r.Bytes(len(payload))
	case CAS:
		c.Value = r.Bytes(len(payload))
		c.Old = r.Bytes(len(payload))
	default:
		return Command{}, fmt.Errorf("key-value command: unknown operation %d", c.Op)
	}
	if err := r.Close(); err != nil {
		return Command{}, fmt.Errorf("key-value command: %w", err)
	}
	return c, nil
}

// Result is the outcome of a command.
type Result struct {
	Status Status
	Value  []byte // Get: the value; Mismatch: the value the key holds
}

// Encode is the result as Apply returns it.
func (r Result) Encode() []byte { return append([]byte{byte(r.Status)}, r.Value...) }

// DecodeResult is the reverse of Encode. The value aliases b.
func DecodeResult(b []byte) (Result, error) {
	if len(b) == 0 || Status(b[0]) > Invalid {
		return Result{}, fmt.Errorf("key-value result: %x", b)
	}
	return Result{Status: Status(b[0]), Value: b[1:]}, nil
}

// KV is the reference application: a map from keys to values.
type KV struct {
	values map[string][]byte
}

// NewKV is an empty store.
func NewKV() *KV { return &KV{values: map[string][]byte{}} }

// Apply implements Application.
func (kv *KV) Apply(tx types.Tx) []byte {
	c, err := DecodeCommand(tx.Payload)
	if err != nil {
		return Result{Status: Invalid}.Encode()
	}
	return kv.do(c).Encode()
}

func (kv *KV) do(c Command) Result {
	have, ok := kv.values[string(c.Key)]
	switch {
	case c.Op == Put:
		kv.values[string(c.Key)] = c.Value
		return Result{Status: OK}
	case !ok:
		return Result{Status: NotFound}
	case c.Op == Get:
		return Result{Status: OK, Value: have}
	case c.Op == Delete:
		delete(kv.values, string(c.Key))
		return Result{Status: OK}
	case !bytes.Equal(have, c.Old):
		return Result{Status: Mismatch, Value: have}
	}
	kv.values[string(c.Key)] = c.Value
	return Result{Status: OK}
}

// Snapshot implements Application: the number of keys, then each key with its
// value, in order of the keys.
func (kv *KV) Snapshot() []byte {
	keys := slices.Sorted(maps.Keys(kv.values))
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(keys)))
	for _, key := range keys {
		b = types.AppendBytes(b, []byte(key))
		b = types.AppendBytes(b, kv.values[key])
	}
	return b
}

// Restore implements Application.
func (kv *KV) Restore(snapshot []byte) error {
	r := types.NewReader(snapshot)
	n := r.U64()
	values := map[string][]byte{}
	last := ""
	for i := uint64(0); i < n && r.Err() == nil; i++ {
		key := string(r.Bytes(KeyBytesMax))
		if i > 0 && key <= last {
			r.Fail(fmt.Errorf("key %q after %q", key, last))
		}
		values[key] = r.Bytes(len(snapshot))
		last = key
	}
	if err := r.Close(); err != nil {
		return fmt.Errorf("key-value snapshot: %w", err)
	}
	kv.values = values
	return nil
}

// Hash implements Application.
func (kv *KV) Hash() types.Digest { return sha256.Sum256(kv.Snapshot()) }
