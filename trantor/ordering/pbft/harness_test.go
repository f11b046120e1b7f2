package pbft

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/internal/golden"
	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

const (
	logModule   mir.ModuleID = 1
	netModule   mir.ModuleID = 2
	timerModule mir.ModuleID = 3
	instanceSub mir.SubID    = 7
)

var errInvalid = errors.New("no value of that name is valid")

// group is the instances of one segment on n replicas, with a network that the
// test schedules. Nothing moves before the test says so.
type group struct {
	t       *testing.T
	segment types.Segment
	members quorum.Membership
	nodes   []*Instance
	stats   []*Stats
	cryptos []crypto.Crypto
	codec   *types.Codec

	inFlight []packet
	timers   []*mir.SetTimer                  // By replica; nil if not set.
	decided  []map[types.SeqNr]types.Proposal // By replica.
	reported []map[types.SeqNr]bool           // By replica.
	deposed  []bool                           // By replica.
	lost     func(packet) bool                // Nil loses nothing.
	trace    bytes.Buffer
}

type packet struct {
	from, to types.NodeID
	msg      mir.Message
}

// newGroup has replica 0 lead a segment of slots 0, n, 2n, …
func newGroup(t *testing.T, n, slots int) *group {
	return newWeightedGroup(t, quorum.Equal(n), slots)
}

func newWeightedGroup(t *testing.T, members quorum.Membership, slots int) *group {
	n := members.N()
	g := &group{t: t, members: members, codec: &types.Codec{}, timers: make([]*mir.SetTimer, n), deposed: make([]bool, n)}
	RegisterMessages(g.codec)
	for i := range slots {
		g.segment.Slots = append(g.segment.Slots, types.SeqNr(i*n))
	}
	for id := range n {
		g.stats = append(g.stats, &Stats{})
		g.cryptos = append(g.cryptos, crypto.NewSimulated(1, types.NodeID(id), n))
		g.decided = append(g.decided, map[types.SeqNr]types.Proposal{})
		g.reported = append(g.reported, map[types.SeqNr]bool{})
		g.nodes = append(g.nodes, New(Config{
			Node: types.NodeID(id), Members: members, Crypto: g.cryptos[id],
			Log: logModule, Net: netModule, Timer: timerModule,
			Validate: func(p types.Proposal) error {
				if p.Certs[0].Creator == 99 {
					return errInvalid
				}
				return nil
			},
			Timeout: time.Second, Stats: g.stats[id],
		}, g.segment, instanceSub))
	}
	return g
}

// value makes a proposal that prints as its number.
func value(no int) types.Proposal {
	return types.Proposal{Certs: []types.Certificate{{Creator: types.NodeID(no)}}}
}

func (g *group) apply(id types.NodeID, body mir.Body) {
	var out mir.Out
	g.nodes[id].Apply(mir.Event{To: logModule, Sub: instanceSub, Body: body}, &out)
	for _, ev := range out.Events() {
		g.emitted(id, ev)
	}
}

func (g *group) emitted(id types.NodeID, ev mir.Event) {
	switch e := ev.Body.(type) {
	case mir.Send:
		g.tracef("%d sends %s to %v", id, show(e.Msg), e.To)
		for _, to := range e.To {
			g.inFlight = append(g.inFlight, packet{from: id, to: to, msg: g.overTheWire(e.Msg)})
		}
	case mir.SetTimer:
		g.tracef("%d waits %v", id, e.After)
		g.timers[id] = &e
	case mir.CancelTimer:
		g.tracef("%d stops waiting", id)
		g.timers[id] = nil
	case types.SlotDecided:
		g.tracef("%d decides %d: %s", id, e.Seq, showValue(e.Proposal))
		if _, again := g.decided[id][e.Seq]; again {
			g.t.Fatalf("replica %d decides slot %d twice", id, e.Seq)
		}
		g.decided[id][e.Seq] = e.Proposal
	case types.SlotProposed:
		g.tracef("%d saw a proposal for %d", id, e.Seq)
		g.reported[id][e.Seq] = true
	case types.LeaderDeposed:
		g.tracef("%d deposes leader %d", id, e.Leader)
		g.deposed[id] = true
	default:
		g.t.Fatalf("replica %d emits %s", id, ev.Body.EventName())
	}
}

func (g *group) overTheWire(m mir.Message) mir.Message {
	b, err := g.codec.Encode(nil, m)
	if err != nil {
		g.t.Fatal(err)
	}
	out, err := g.codec.Decode(b)
	if err != nil {
		g.t.Fatal(err)
	}
	return out
}

func (g *group) propose(id types.NodeID, seq types.SeqNr, p types.Proposal) {
	g.tracef("> %d: propose %d: %s", id, seq, showValue(p))
	g.apply(id, types.Propose{Seq: seq, Proposal: p})
}

func (g *group) need(seq types.SeqNr, ids ...types.NodeID) {
	for _, id := range ids {
		g.tracef("> %d: needs %d", id, seq)
		g.apply(id, types.SlotNeeded{Seq: seq})
	}
}

// receive hands a message of the test's own making to a replica.
func (g *group) receive(to, from types.NodeID, m mir.Message) {
	g.tracef("> %d: from %d: %s", to, from, show(m))
	g.apply(to, mir.Received{From: from, Msg: m})
}

// expire lets the timers of these replicas fire.
func (g *group) expire(ids ...types.NodeID) {
	for _, id := range ids {
		timer := g.timers[id]
		if timer == nil {
			g.t.Fatalf("replica %d has no timer that could fire", id)
		}
		g.timers[id] = nil
		g.tracef("> %d: timeout", id)
		g.apply(id, timer.Fire.Body)
	}
}

// run delivers what is in flight, and what that leads to, in order of sending.
func (g *group) run() {
	for len(g.inFlight) > 0 {
		g.deliver(0)
	}
}

func (g *group) deliver(at int) {
	p := g.inFlight[at]
	g.inFlight = append(g.inFlight[:at], g.inFlight[at+1:]...)
	if g.lost != nil && g.lost(p) {
		return
	}
	g.apply(p.to, mir.Received{From: p.from, Msg: p.msg})
}

func (g *group) tracef(format string, args ...any) { fmt.Fprintf(&g.trace, format+"\n", args...) }

func (g *group) checkTrace(prose string) {
	g.t.Helper()
	golden.Check(g.t, g.t.Name(), prose, g.trace.Bytes())
}

// wantDecided checks a slot's value at these replicas; nil means undecided.
func (g *group) wantDecided(seq types.SeqNr, want *types.Proposal, ids ...types.NodeID) {
	g.t.Helper()
	for _, id := range ids {
		got, decided := g.decided[id][seq]
		switch {
		case want == nil && decided:
			g.t.Errorf("replica %d decided slot %d: %s, want undecided", id, seq, showValue(got))
		case want != nil && !decided:
			g.t.Errorf("replica %d did not decide slot %d", id, seq)
		case want != nil && digestOf(got) != digestOf(*want):
			g.t.Errorf("replica %d decided slot %d: %s, want %s", id, seq, showValue(got), showValue(*want))
		}
	}
}

// prepare and preprepare are validly signed by from.
func (g *group) prepare(from types.NodeID, v types.View, seq types.SeqNr, p types.Proposal) Prepare {
	d := digestOf(p)
	return Prepare{View: v, Seq: seq, Digest: d,
		Sig: g.cryptos[from].Sign(DomainPrepare, prepareStatement(g.segment, v, seq, d))}
}

func (g *group) preprepare(from types.NodeID, seq types.SeqNr, p types.Proposal) PrePrepare {
	return PrePrepare{Seq: seq, Proposal: p, Sig: g.prepare(from, 0, seq, p).Sig}
}

// prepared is a certificate that these replicas signed.
func (g *group) prepared(v types.View, seq types.SeqNr, p types.Proposal, ids ...types.NodeID) Prepared {
	cert := Prepared{Seq: seq, View: v, Proposal: p}
	for _, id := range ids {
		cert.Sigs = append(cert.Sigs, types.Signature{Signer: id, Sig: g.prepare(id, v, seq, p).Sig})
	}
	return cert
}

func (g *group) change(from types.NodeID, v types.View, certs ...Prepared) ViewChange {
	m := ViewChange{View: v, Prepared: certs}
	statement, _ := changeStatement(g.segment, m)
	m.Sig = g.cryptos[from].Sign(DomainViewChange, statement)
	return m
}

func showValue(p types.Proposal) string {
	if len(p.Certs) == 0 {
		return "empty"
	}
	return fmt.Sprintf("value %d", p.Certs[0].Creator)
}

func show(m mir.Message) string {
	switch m := m.(type) {
	case PrePrepare:
		return fmt.Sprintf("PRE-PREPARE slot %d %s", m.Seq, showValue(m.Proposal))
	case Prepare:
		return fmt.Sprintf("PREPARE view %d slot %d digest %s", m.View, m.Seq, m.Digest)
	case Commit:
		return fmt.Sprintf("COMMIT view %d slot %d digest %s", m.View, m.Seq, m.Digest)
	case ViewChange:
		return fmt.Sprintf("VIEW-CHANGE to %d, misses %v, prepared %s", m.View, m.Undecided, showPrepared(m.Prepared))
	case NewView:
		var b strings.Builder
		for _, c := range m.Changes {
			fmt.Fprintf(&b, " %d%s", c.Signer, showPrepared(c.Prepared))
		}
		return fmt.Sprintf("NEW-VIEW %d from view changes%s", m.View, b.String())
	case Decision:
		return fmt.Sprintf("DECISION slot %d %s", m.Seq, showValue(m.Proposal))
	}
	return m.EventName()
}

func showPrepared(certs []Prepared) string {
	var parts []string
	for _, p := range certs {
		parts = append(parts, fmt.Sprintf("slot %d view %d %s", p.Seq, p.View, showValue(p.Proposal)))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// shuffle delivers everything in an order drawn from rng, repeating some, and
// on the way lets up to timeouts timers fire. It ends when nothing is in flight.
func (g *group) shuffle(rng *rand.Rand, timeouts int) {
	for len(g.inFlight) > 0 {
		if timeouts > 0 && rng.IntN(10) == 0 {
			timeouts--
			if id := types.NodeID(rng.IntN(len(g.nodes))); g.timers[id] != nil {
				g.expire(id)
			}
		}
		at := rng.IntN(len(g.inFlight))
		if rng.IntN(10) == 0 {
			g.inFlight = append(g.inFlight, g.inFlight[at])
		}
		g.deliver(at)
	}
}
