package net

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/grpc/mem"

	"github.com/perfgate/perfgate/mir"
)

func TestSendingCopiesNoMessage(t *testing.T) {
	wire := make([]byte, 1<<20)
	slices, err := rawCodec{}.Marshal(frame{dest: 7, sub: 9, wire: wire})
	if err != nil {
		t.Fatal(err)
	}
	last := slices[len(slices)-1].ReadOnlyData()
	if len(last) != len(wire) || &last[0] != &wire[0] {
		t.Fatal("the message was copied")
	}
}

func TestAFrameThatCameInPiecesIsPutTogether(t *testing.T) {
	want := frame{dest: 0x1234, sub: 0x56789abcdef, wire: bytes.Repeat([]byte("message"), 10_000)}
	whole := append(want.header(), want.wire...)
	for _, cut := range []int{0, 3, mir.FrameHeaderBytes, 20_000} {
		var in inFrame
		data := mem.BufferSlice{mem.SliceBuffer(whole[:cut]), mem.SliceBuffer(whole[cut:])}
		if err := (rawCodec{}).Unmarshal(data, &in); err != nil {
			t.Fatal(err)
		}
		got, err := parseFrame(in.bytes())
		if err != nil || got.dest != want.dest || got.sub != want.sub || !bytes.Equal(got.wire, want.wire) {
			t.Errorf("cut at %d: got another frame, %v", cut, err)
		}
		in.free()
	}
}

func TestTheCodecTakesOnlyFrames(t *testing.T) {
	if _, err := (rawCodec{}).Marshal("text"); err == nil {
		t.Error("it sent a text")
	}
	if err := (rawCodec{}).Unmarshal(nil, new(string)); err == nil {
		t.Error("it received a text")
	}
}

// FuzzFrame: whatever a peer sends is either a frame, and then exactly the one
// whose bytes they are, or too short.
func FuzzFrame(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte{1})
	f.Add(make([]byte, mir.FrameHeaderBytes-1))
	f.Add(make([]byte, mir.FrameHeaderBytes))
	f.Add(append(frame{dest: 0xffff, sub: 1<<64 - 1}.header(), "message"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var in inFrame
		if err := (rawCodec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, &in); err != nil {
			t.Fatal(err)
		}
		defer in.free()
		got, err := parseFrame(in.bytes())
		if err != nil {
			if !errors.Is(err, errShortFrame) || len(b) >= mir.FrameHeaderBytes {
				t.Fatalf("%d bytes: %v", len(b), err)
			}
			return
		}
		slices, err := rawCodec{}.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if again := slices.Materialize(); !bytes.Equal(again, b) || got.wireBytes() != len(b) {
			t.Fatalf("%x was read and written as %x", b, again)
		}
	})
}
