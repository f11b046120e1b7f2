package bcb

import (
	"fmt"

	"github.com/perfgate/perfgate/mir"
)

// ValueBytesMax bounds a value, and with it what a peer can make a process keep.
const ValueBytesMax = 1 << 10

// Codec is the wire format: one byte for the kind of message, then the value.
type Codec struct{}

var _ mir.Codec = Codec{}

const (
	tagSend = 1
	tagEcho = 2
)

// Encode implements mir.Codec.
func (Codec) Encode(dst []byte, m mir.Message) ([]byte, error) {
	tag, value := byte(0), ""
	switch m := m.(type) {
	case Send:
		tag, value = tagSend, m.Value
	case Echo:
		tag, value = tagEcho, m.Value
	default:
		return nil, fmt.Errorf("bcb: %s is no message", m.EventName())
	}
	if len(value) > ValueBytesMax {
		return nil, fmt.Errorf("bcb: a value of %d bytes, limit %d", len(value), ValueBytesMax)
	}
	return append(append(dst, tag), value...), nil
}

// Decode implements mir.Codec.
func (Codec) Decode(b []byte) (mir.Message, error) {
	if len(b) == 0 || len(b) > 1+ValueBytesMax {
		return nil, fmt.Errorf("bcb: a message of %d bytes, want 1 to %d", len(b), 1+ValueBytesMax)
	}
	switch value := string(b[1:]); b[0] {
	case tagSend:
		return Send{Value: value}, nil
	case tagEcho:
		return Echo{Value: value}, nil
	}
	return nil, fmt.Errorf("bcb: unknown kind of message %d", b[0])
}
