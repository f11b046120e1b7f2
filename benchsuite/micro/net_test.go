package micro

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/availability"
	"github.com/perfgate/perfgate/trantor/net"
	"github.com/perfgate/perfgate/trantor/types"
)

// Modules of a node on a real network: the transport, and the one that speaks.
const (
	linkModule mir.ModuleID = 1 + iota
	speakerModule
)

// star is nodes of this process, the first of which is connected with each of
// the others over loopback, as processes are.
type star struct {
	transports []*net.Transport
	nodes      []*mir.Node
	stops      []func()
}

// newStar starts n nodes. speaker makes the module of each.
func newStar(b *testing.B, n int, speaker func(id mir.NodeID) mir.Module) *star {
	codec := &types.Codec{}
	availability.RegisterMessages(codec)
	s := &star{}
	var members []types.Member
	for i := range n {
		transport, err := net.New(net.Config{
			Node: mir.NodeID(i), Self: linkModule, SystemID: "micro", Key: nodeKey(i), Listen: "127.0.0.1:0", Codec: codec,
		})
		if err != nil {
			b.Fatal(err)
		}
		s.transports = append(s.transports, transport)
		key := nodeKey(i).Public().(ed25519.PublicKey)
		members = append(members, types.Member{Node: mir.NodeID(i), Weight: 1, Key: key, Addr: transport.Addr()})
	}
	for i, transport := range s.transports {
		peers := members
		if i > 0 {
			peers = members[:1]
		}
		if err := transport.SetPeers(peers); err != nil {
			b.Fatal(err)
		}
		s.start(b, mir.NodeID(i), speaker(mir.NodeID(i)))
	}
	s.waitConnected()
	return s
}

func (s *star) start(b *testing.B, id mir.NodeID, speaker mir.Module) {
	names := &mir.Names{}
	names.Intern("link")
	names.Intern("speaker")
	node, err := mir.NewNode(mir.NodeConfig{ID: id, Names: names, Modules: []mir.Registration{
		{ID: linkModule, Module: s.transports[id]}, {ID: speakerModule, Module: speaker},
	}})
	if err != nil {
		b.Fatal(err)
	}
	s.nodes, s.stops = append(s.nodes, node), append(s.stops, startNode(b, node))
}

// waitConnected waits until every node has a link to each of its peers.
func (s *star) waitConnected() {
	for _, t := range s.transports {
		for _, p := range t.Stats().Peers {
			for !p.Connected {
				time.Sleep(time.Millisecond)
				p = t.PeerStats(p.Node)
			}
		}
	}
}

func nodeKey(node int) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = byte(node)
	return ed25519.NewKeyFromSeed(seed)
}

func (s *star) stop() {
	for _, stop := range s.stops {
		stop()
	}
}

// BenchmarkNetRoundTrip sends a batch to another node over TCP with mutual TLS
// and waits for the answer, an empty batch.
//
//perfgate:sizes gate full
func BenchmarkNetRoundTrip(b *testing.B) {
	for _, bytes := range []int{256, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("bytes=%d", bytes), func(b *testing.B) { benchmarkNetRoundTrip(b, bytes) })
	}
}

func benchmarkNetRoundTrip(b *testing.B, bytes int) {
	returned := make(chan int, 1)
	s := newStar(b, 2, func(id mir.NodeID) mir.Module {
		return mir.ModuleFunc(func(ev mir.Event, out *mir.Out) {
			data := ev.Body.(mir.Received).Msg.(availability.Batch).Data
			switch {
			case id == 0:
				returned <- len(data)
			case len(data) != bytes:
				panic("micro: a batch arrived with another size")
			default:
				out.Emit(linkModule, mir.Send{To: []mir.NodeID{0}, Dest: speakerModule, Msg: availability.Batch{}})
			}
		})
	})
	request := batchTo([]mir.NodeID{1}, bytes)
	for b.Loop() {
		if err := s.nodes[0].Inject(context.Background(), request); err != nil {
			b.Fatal(err)
		}
		want(b, "bytes returned", <-returned, 0)
	}
	s.stop()
	want(b, "messages arrived", int(s.transports[1].Counters().MessagesReceived), b.N)
	b.ReportMetric(1, "wall-only") // Four goroutines of each node take turns.
}

func batchTo(to []mir.NodeID, bytes int) mir.Event {
	return mir.Event{To: linkModule, Body: mir.Send{To: to, Dest: speakerModule, Msg: availability.Batch{Data: pattern(bytes)}}}
}

// broadcastsInFlight of BenchmarkNetBroadcast keep all links busy.
const broadcastsInFlight = 8

// BenchmarkNetBroadcast sends batches of 64 KiB to all other nodes over TCP with
// mutual TLS, 8 at a time. An operation is one batch at all of them.
//
//perfgate:sizes gate full
//perfgate:sizes peers=15 full
func BenchmarkNetBroadcast(b *testing.B) {
	for _, peers := range []int{3, 15} {
		b.Run(fmt.Sprintf("peers=%d/bytes=%d", peers, 64<<10), func(b *testing.B) { benchmarkNetBroadcast(b, peers, 64<<10) })
	}
}

func benchmarkNetBroadcast(b *testing.B, peers, bytes int) {
	arrived := make(chan int, peers*broadcastsInFlight) // So that no node waits.
	s := newStar(b, 1+peers, func(mir.NodeID) mir.Module {
		return mir.ModuleFunc(func(ev mir.Event, _ *mir.Out) {
			arrived <- len(ev.Body.(mir.Received).Msg.(availability.Batch).Data)
		})
	})
	var everyone []mir.NodeID
	for i := range peers {
		everyone = append(everyone, mir.NodeID(1+i))
	}
	batch := batchTo(everyone, bytes)
	send := func() {
		if err := s.nodes[0].Inject(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
	receive := func() {
		for range peers {
			want(b, "bytes of a batch", <-arrived, bytes)
		}
	}
	for range broadcastsInFlight {
		send()
	}
	for b.Loop() {
		receive()
		send()
	}
	for range broadcastsInFlight {
		receive()
	}
	s.stop()
	for i, transport := range s.transports[1:] {
		want(b, fmt.Sprintf("messages at node %d", 1+i), int(transport.Counters().MessagesReceived), b.N+broadcastsInFlight)
	}
	b.ReportMetric(1, "wall-only") // The links of all nodes share the cores.
}
