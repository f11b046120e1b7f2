package types

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

func tx(client, no uint64, payload string) Tx {
	return Tx{TxID: TxID{Client: ClientID(client), No: TxNo(no)}, Payload: []byte(payload)}
}

func TestBatchKeepsTransactionsAndOrder(t *testing.T) {
	want := []Tx{tx(7, 0, "first"), tx(1, 1<<40, ""), tx(7, 1, "third")}
	b := EncodeBatch(want)
	if wantLen := 4 + 3*20 + len("first") + len("third"); len(b) != wantLen {
		t.Errorf("encoding has %d bytes, want %d", len(b), wantLen)
	}
	got, err := DecodeBatch(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("got %d transactions, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i].TxID != want[i].TxID || !bytes.Equal(got[i].Payload, want[i].Payload) {
			t.Errorf("transaction %d: got %v, want %v", i, got[i], want[i])
		}
	}
}

func TestBatchPayloadCannotBeAppendedIntoTheNext(t *testing.T) {
	b := EncodeBatch([]Tx{tx(1, 0, "a"), tx(1, 1, "b")})
	before := HashBatch(b)
	txs, err := DecodeBatch(b)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(txs[0].Payload, "overwrites the next header"...)
	if HashBatch(b) != before {
		t.Error("appending to a decoded payload changed the batch")
	}
}

func TestBatchRejectsWhatNoEncoderWrites(t *testing.T) {
	good := EncodeBatch([]Tx{tx(1, 2, "payload"), tx(3, 4, "x")})
	forged := func(at int, value uint32) []byte {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint32(b[at:], value)
		return b
	}
	cases := map[string][]byte{
		"nothing":             nil,
		"no transaction":      {0, 0, 0, 0},
		"one byte missing":    good[:len(good)-1],
		"one byte too many":   append(bytes.Clone(good), 0),
		"count too large":     forged(0, 3),
		"count beyond memory": forged(0, 1<<32-1),
		"count too small":     forged(0, 1),
		"payload too long":    forged(4+16, 1<<32-1),
		"over the byte limit": make([]byte, MaxBatchBytes+1),
	}
	for name, b := range cases {
		if _, err := DecodeBatch(b); !errors.Is(err, ErrBatch) {
			t.Errorf("%s: got error %v, want ErrBatch", name, err)
		}
	}
}

func TestEncodeBatchPanicsBeyondItsLimits(t *testing.T) {
	cases := map[string][]Tx{
		"no transaction":    nil,
		"many transactions": make([]Tx, MaxBatchTxs+1),
		"many bytes":        {{Payload: make([]byte, MaxBatchBytes)}},
	}
	for name, txs := range cases {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			EncodeBatch(txs)
		}()
	}
}

// FuzzDecodeBatch: whatever decodes is the one encoding of its transactions.
func FuzzDecodeBatch(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0})
	f.Add(EncodeBatch([]Tx{tx(0, 0, "")}))
	f.Add(EncodeBatch([]Tx{tx(1, 2, "payload"), tx(1<<63, 1<<62, "another")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		txs, err := DecodeBatch(b)
		if err != nil {
			return
		}
		if !bytes.Equal(EncodeBatch(txs), b) {
			t.Errorf("%x decodes and encodes to other bytes", b)
		}
	})
}
