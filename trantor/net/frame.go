package net

import (
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"github.com/perfgate/perfgate/mir"
)

// A frame is one gRPC message: the destination module (2 bytes), the instance (8
// bytes), both little-endian, and the message as the Codec encodes it.

// frame is one message on its way to one peer.
type frame struct {
	dest mir.ModuleID
	sub  mir.SubID
	wire []byte // Shared with other peers' frames: read-only.
}

func (f frame) wireBytes() int { return mir.FrameHeaderBytes + len(f.wire) }

// errShortFrame says that a frame ends within its header.
var errShortFrame = errors.New("frame is shorter than its header")

// parseFrame splits what a peer sent. The result's wire aliases b.
func parseFrame(b []byte) (frame, error) {
	if len(b) < mir.FrameHeaderBytes {
		return frame{}, fmt.Errorf("%d bytes: %w", len(b), errShortFrame)
	}
	return frame{
		dest: mir.ModuleID(binary.LittleEndian.Uint16(b)),
		sub:  mir.SubID(binary.LittleEndian.Uint64(b[2:])),
		wire: b[mir.FrameHeaderBytes:],
	}, nil
}

func (f frame) header() []byte {
	b := binary.LittleEndian.AppendUint16(make([]byte, 0, mir.FrameHeaderBytes), uint16(f.dest))
	return binary.LittleEndian.AppendUint64(b, uint64(f.sub))
}

// inFrame is what a peer sent, in one piece. Whoever received it must free it.
type inFrame struct{ buffer mem.Buffer }

func (f *inFrame) bytes() []byte { return f.buffer.ReadOnlyData() }

func (f *inFrame) free() { f.buffer.Free() }

// rawCodec carries frames through gRPC as they are. Sending copies nothing: gRPC
// gets a view of the bytes that all receivers of a broadcast share. Receiving
// copies a message that came in several HTTP/2 frames once, into a pooled buffer.
type rawCodec struct{}

var _ encoding.CodecV2 = rawCodec{}

// Name implements encoding.CodecV2; it is the content subtype of the streams.
func (rawCodec) Name() string { return "trantor-raw" }

// Marshal implements encoding.CodecV2.
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(frame)
	if !ok {
		return nil, fmt.Errorf("trantor/net: sending %T, want a frame", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(f.header()), mem.SliceBuffer(f.wire)}, nil
}

// Unmarshal implements encoding.CodecV2. It takes any bytes: what is wrong with
// them is for the link to count.
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*inFrame)
	if !ok {
		return fmt.Errorf("trantor/net: receiving into %T, want a frame", v)
	}
	f.buffer = data.MaterializeToBuffer(mem.DefaultBufferPool())
	return nil
}
