package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/perfgate/perfgate/trantor/types"
)

// Limits of one message. A result is at most what a batch can be, so that an
// answer with one of them fits into AnswerBytesMax.
const (
	RequestTxsMax  = types.MaxBatchTxs
	WatchesMax     = 1 << 16
	RequestBytes   = 1 + types.MaxBatchBytes // The default limit of a request.
	ResultBytesMax = types.MaxBatchBytes
	AnswersMax     = 1 << 16
	AnswerBytesMax = ResultBytesMax + 1<<16
)

// The first byte of a message.
const (
	kindSubmit  byte = 1
	kindWatch   byte = 2
	kindAnswers byte = 3
)

const (
	watchBytes     = 8 + 8
	answerBytesMin = 8 + 8 + 1 + 8 + 16 + 4
)

// ErrMessage is what every decoding error wraps.
var ErrMessage = errors.New("malformed message")

// Request is one message of a client: transactions to order, or identities of
// transactions that somebody else submits and whose delivery it wants to hear
// of. One of the two is empty.
type Request struct {
	Submit []types.Tx
	Watch  []types.TxID
}

// Len is how many transactions the request names.
func (r Request) Len() int { return len(r.Submit) + len(r.Watch) }

// AppendSubmit appends the message that submits txs: 1 to RequestTxsMax of at
// most types.MaxBatchBytes when encoded. They are encoded as in a batch.
func AppendSubmit(dst []byte, txs []types.Tx) []byte {
	return append(append(dst, kindSubmit), types.EncodeBatch(txs)...)
}

// AppendWatch appends the message that watches ids: 1 to WatchesMax.
func AppendWatch(dst []byte, ids []types.TxID) []byte {
	dst = binary.LittleEndian.AppendUint32(append(dst, kindWatch), uint32(len(ids)))
	for _, id := range ids {
		dst = appendID(dst, id)
	}
	return dst
}

// DecodeRequest reads what AppendSubmit or AppendWatch wrote. Payloads alias b.
func DecodeRequest(b []byte) (Request, error) {
	if len(b) == 0 {
		return Request{}, fmt.Errorf("%w: empty", ErrMessage)
	}
	switch b[0] {
	case kindSubmit:
		txs, err := types.DecodeBatch(b[1:])
		if err != nil {
			return Request{}, fmt.Errorf("%w: %w", ErrMessage, err)
		}
		return Request{Submit: txs}, nil
	case kindWatch:
		ids, err := decodeWatch(b[1:])
		return Request{Watch: ids}, err
	}
	return Request{}, fmt.Errorf("%w: a request of kind %d", ErrMessage, b[0])
}

func decodeWatch(b []byte) ([]types.TxID, error) {
	r := types.NewReader(b)
	ids := make([]types.TxID, r.Count(WatchesMax, watchBytes))
	for i := range ids {
		ids[i] = readID(r)
	}
	if len(ids) == 0 {
		r.Fail(errors.New("nothing to watch"))
	}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	return ids, nil
}

// Answer says what became of a transaction. After Accepted another answer
// follows; any other code is the last word of this replica.
type Answer struct {
	ID     types.TxID
	Code   Code
	Seq    types.SeqNr // Delivered: the position in the log.
	Tag    Tag         // Delivered: that of the payload, which another client may have chosen.
	Result []byte      // Delivered: what the application answered.
}

// Tag tells payloads apart: the first half of the SHA-256 digest.
type Tag [16]byte

// TagOf is the tag of a payload.
func TagOf(payload []byte) Tag {
	digest := sha256.Sum256(payload)
	return Tag(digest[:16])
}

// Bytes is what the answer adds to a message.
func (a Answer) Bytes() int { return answerBytesMin + len(a.Result) }

// AppendAnswers appends a message with 1 to AnswersMax answers.
func AppendAnswers(dst []byte, answers []Answer) []byte {
	dst = binary.LittleEndian.AppendUint32(append(dst, kindAnswers), uint32(len(answers)))
	for _, a := range answers {
		dst = append(appendID(dst, a.ID), byte(a.Code))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(a.Seq))
		dst = append(dst, a.Tag[:]...)
		dst = types.AppendBytes(dst, a.Result)
	}
	return dst
}

// DecodeAnswers reads what AppendAnswers wrote.
func DecodeAnswers(b []byte) ([]Answer, error) {
	if len(b) == 0 || b[0] != kindAnswers {
		return nil, fmt.Errorf("%w: no answers", ErrMessage)
	}
	r := types.NewReader(b[1:])
	answers := make([]Answer, r.Count(AnswersMax, answerBytesMin))
	for i := range answers {
		a := Answer{ID: readID(r), Code: Code(r.U8()), Seq: types.SeqNr(r.U64())}
		for i := range a.Tag {
			a.Tag[i] = r.U8()
		}
		a.Result = r.Bytes(ResultBytesMax)
		if r.Err() == nil && !a.canonical() {
			r.Fail(fmt.Errorf("answer %d has code %d, position %d and %d bytes", i, a.Code, a.Seq, len(a.Result)))
		}
		answers[i] = a
	}
	if len(answers) == 0 {
		r.Fail(errors.New("no answer"))
	}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	return answers, nil
}

// canonical: the code is known, and only a delivery has a position and a result.
func (a Answer) canonical() bool {
	return a.Code < codes && (a.Code == Delivered || a.Seq == 0 && a.Tag == Tag{} && len(a.Result) == 0)
}

func appendID(dst []byte, id types.TxID) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(id.Client))
	return binary.LittleEndian.AppendUint64(dst, uint64(id.No))
}

func readID(r *types.Reader) types.TxID {
	return types.TxID{Client: types.ClientID(r.U64()), No: types.TxNo(r.U64())}
}
