package mir_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
)

// ball is the only message of the example's protocol.
type ball struct{ hits uint32 }

func (ball) EventName() string { return "pingpong.Ball" }

type ballCodec struct{}

func (ballCodec) Encode(dst []byte, m mir.Message) ([]byte, error) {
	b, ok := m.(ball)
	if !ok {
		return nil, errors.New("not a ball")
	}
	return binary.BigEndian.AppendUint32(dst, b.hits), nil
}

func (ballCodec) Decode(b []byte) (mir.Message, error) {
	if len(b) != 4 {
		return nil, fmt.Errorf("a ball has 4 bytes, not %d", len(b))
	}
	return ball{hits: binary.BigEndian.Uint32(b)}, nil
}

// player is a protocol module: a pure transition that knows the modules that it
// talks to by their IDs.
type player struct {
	self, net mir.ModuleID
}

func (p *player) Apply(ev mir.Event, out *mir.Out) {
	got, ok := ev.Body.(mir.Received)
	if !ok {
		return
	}
	b := got.Msg.(ball)
	fmt.Printf("hit %d comes from node %d\n", b.hits, got.From)
	if b.hits < 4 {
		out.Emit(p.net, mir.Send{To: []mir.NodeID{got.From}, Dest: p.self, Msg: ball{hits: b.hits + 1}})
	}
}

// Two nodes play a ball to each other in virtual time.
func Example() {
	s, err := sim.New(sim.Config{
		Seed:    1,
		Codec:   ballCodec{},
		Network: sim.Network{Latency: sim.Fixed(10 * time.Millisecond)},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var names mir.Names
	net, timer, game := names.Intern("net"), names.Intern("timer"), names.Intern("player")
	for range 2 {
		_, err := s.AddNode(sim.NodeConfig{
			Names: &names, Net: net, Timer: timer,
			Modules: []mir.Registration{{ID: game, Module: &player{self: game, net: net}}},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	s.Inject(0, mir.Event{To: net, Body: mir.Send{To: []mir.NodeID{1}, Dest: game, Msg: ball{hits: 1}}})
	if err := s.Run(time.Second); err != nil {
		fmt.Println(err)
	}
	total := s.Total()
	fmt.Println(total.MessagesSent, "messages,", total.WireBytesSent, "bytes")
	// Output:
	// hit 1 comes from node 0
	// hit 2 comes from node 1
	// hit 3 comes from node 0
	// hit 4 comes from node 1
	// 4 messages, 56 bytes
}
