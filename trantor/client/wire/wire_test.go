package wire

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/perfgate/perfgate/trantor/mempool"
	"github.com/perfgate/perfgate/trantor/types"
)

func id(client, no uint64) types.TxID {
	return types.TxID{Client: types.ClientID(client), No: types.TxNo(no)}
}

var (
	someTxs     = []types.Tx{{TxID: id(1, 2), Payload: []byte("payload")}, {TxID: id(3, 4), Payload: []byte{}}}
	someIDs     = []types.TxID{id(1, 2), id(1<<63, 1<<62)}
	someAnswers = []Answer{
		{ID: id(1, 2), Code: Accepted},
		{ID: id(1, 2), Code: Delivered, Seq: 7, Tag: TagOf([]byte("payload")), Result: []byte("result")},
		{ID: id(5, 6), Code: Full},
	}
)

func TestMessagesKeepWhatTheySay(t *testing.T) {
	if got, err := DecodeRequest(AppendSubmit(nil, someTxs)); err != nil || !reflect.DeepEqual(got, Request{Submit: someTxs}) || got.Len() != 2 {
		t.Errorf("got %+v (%v)", got, err)
	}
	if got, err := DecodeRequest(AppendWatch(nil, someIDs)); err != nil || !reflect.DeepEqual(got, Request{Watch: someIDs}) || got.Len() != 2 {
		t.Errorf("got %+v (%v)", got, err)
	}
	got, err := DecodeAnswers(AppendAnswers(nil, someAnswers))
	if err != nil || len(got) != len(someAnswers) {
		t.Fatalf("got %+v (%v)", got, err)
	}
	for i, want := range someAnswers {
		if fmt.Sprint(got[i]) != fmt.Sprint(want) {
			t.Errorf("got %+v, want %+v", got[i], want)
		}
	}
}

func TestMalformedMessagesAreRefused(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff}
	for name, b := range map[string][]byte{
		"empty":           {},
		"unknown kind":    {9},
		"no transaction":  {kindSubmit, 0, 0, 0, 0},
		"nothing watched": {kindWatch, 0, 0, 0, 0},
		"forged count":    append([]byte{kindWatch}, huge...),
		"left over":       append(AppendWatch(nil, someIDs), 0),
		"truncated":       AppendSubmit(nil, someTxs)[:20],
		"answers":         AppendAnswers(nil, someAnswers),
	} {
		if _, err := DecodeRequest(b); !errors.Is(err, ErrMessage) {
			t.Errorf("request, %s: %v", name, err)
		}
	}
	code := func(c Code, seq types.SeqNr, result string) []byte {
		return AppendAnswers(nil, []Answer{{Code: c, Seq: seq, Result: []byte(result)}})
	}
	for name, b := range map[string][]byte{
		"empty":                {},
		"request":              AppendWatch(nil, someIDs),
		"no answer":            {kindAnswers, 0, 0, 0, 0},
		"forged count":         append([]byte{kindAnswers}, huge...),
		"unknown code":         code(codes, 0, ""),
		"position of accepted": code(Accepted, 1, ""),
		"result of a refusal":  code(Full, 0, "x"),
		"left over":            append(code(Full, 0, ""), 0),
	} {
		if _, err := DecodeAnswers(b); !errors.Is(err, ErrMessage) {
			t.Errorf("answers, %s: %v", name, err)
		}
	}
}

func TestEveryRefusalOfTheMempoolHasACodeOfItsOwn(t *testing.T) {
	seen := map[Code]bool{}
	for _, err := range []error{mempool.ErrDelivered, mempool.ErrWindowFull, mempool.ErrFull, mempool.ErrTooLarge, mempool.ErrTooManyClients, mempool.ErrInvalid} {
		c := CodeOf(fmt.Errorf("wrapped: %w", err))
		if seen[c] || !errors.Is(c.Err(), err) {
			t.Errorf("%v has code %v, which stands for %v", err, c, c.Err())
		}
		seen[c] = true
	}
	if CodeOf(nil) != Accepted || CodeOf(mempool.ErrDuplicate) != Accepted || CodeOf(errors.New("other")) != Refused {
		t.Error("what is pending is not accepted, or an unknown reason has no code")
	}
	for _, c := range Codes() {
		if (c.Err() == nil) != (c == Accepted || c == Delivered) {
			t.Errorf("%v stands for the error %v", c, c.Err())
		}
	}
}

// FuzzDecodeRequest: whatever decodes is the one encoding of what it says.
func FuzzDecodeRequest(f *testing.F) {
	f.Add(AppendSubmit(nil, someTxs))
	f.Add(AppendWatch(nil, someIDs))
	f.Add([]byte{kindWatch, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRequest(b)
		if err != nil {
			return
		}
		again := AppendWatch(nil, r.Watch)
		if len(r.Submit) > 0 {
			again = AppendSubmit(nil, r.Submit)
		}
		if !bytes.Equal(again, b) {
			t.Errorf("%x decodes and encodes to %x", b, again)
		}
	})
}

// FuzzDecodeAnswers: the same of answers.
func FuzzDecodeAnswers(f *testing.F) {
	f.Add(AppendAnswers(nil, someAnswers))
	f.Add([]byte{kindAnswers, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if answers, err := DecodeAnswers(b); err == nil && !bytes.Equal(AppendAnswers(nil, answers), b) {
			t.Errorf("%x decodes and encodes to other bytes", b)
		}
	})
}
