package pbft

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
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
	storeModule mir.ModuleID = 4
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
	timers   []map[uint64]mir.SetTimer        // By replica and number.
	stores   []map[string]string              // By replica: what is durable.
	decided  []map[types.SeqNr]types.Proposal // By replica, in all its lives.
	latest   []map[types.SeqNr]bool           // By replica: decided in its present life.
	said     map[string]string                // What correct replicas have said, by what it is about.
	reported []map[types.SeqNr]bool           // By replica.
	deposed  []bool                           // By replica.
	lost     func(packet) bool                // Nil loses nothing.
	// fails says of a replica's next write that the replica crashes there, and
	// whether the write is kept. Nil crashes nobody.
	fails func(id types.NodeID) (crash, kept bool)
	trace bytes.Buffer
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
	g := &group{t: t, members: members, codec: &types.Codec{}, deposed: make([]bool, n), said: map[string]string{}}
	RegisterMessages(g.codec)
	for i := range slots {
		g.segment.Slots = append(g.segment.Slots, types.SeqNr(i*n))
	}
	for id := range n {
		g.stats = append(g.stats, &Stats{})
		g.cryptos = append(g.cryptos, crypto.NewSimulated(1, types.NodeID(id), n))
		g.decided = append(g.decided, map[types.SeqNr]types.Proposal{})
		g.latest = append(g.latest, map[types.SeqNr]bool{})
		g.reported = append(g.reported, map[types.SeqNr]bool{})
		g.stores = append(g.stores, map[string]string{})
		g.timers = append(g.timers, map[uint64]mir.SetTimer{})
		g.nodes = append(g.nodes, g.newInstance(types.NodeID(id)))
	}
	return g
}

func (g *group) newInstance(id types.NodeID) *Instance {
	return New(Config{
		Node: id, Members: g.members, Crypto: g.cryptos[id],
		Log: logModule, Net: netModule, Timer: timerModule, Store: storeModule,
		Validate: func(p types.Proposal) error {
			if p.Certs[0].Creator == 99 {
				return errInvalid
			}
			return nil
		},
		CertsMax: 2, Timeout: time.Second, ResendAfter: time.Second / 2, Stats: g.stats[id],
	}, g.segment, instanceSub)
}

// value makes a proposal that prints as its number.
func value(no int) types.Proposal {
	return types.Proposal{Certs: []types.Certificate{{Creator: types.NodeID(no)}}}
}

// apply gives an event to a replica, and to itself what it sends to itself.
func (g *group) apply(id types.NodeID, body mir.Body) {
	queue := []mir.Body{body}
	for len(queue) > 0 {
		var out mir.Out
		g.nodes[id].Apply(mir.Event{To: logModule, Sub: instanceSub, Body: queue[0]}, &out)
		queue = queue[1:]
		for _, ev := range out.Events() {
			if !g.emitted(id, ev, &queue) {
				g.restart(id)
				return
			}
		}
	}
}

// emitted reports false where the replica crashes.
func (g *group) emitted(id types.NodeID, ev mir.Event, queue *[]mir.Body) bool {
	switch e := ev.Body.(type) {
	case types.Persist:
		return g.persist(id, e, queue)
	case mir.Send:
		g.send(id, e, queue)
	case mir.SetTimer:
		if _, again := e.Fire.Body.(tick); !again {
			g.tracef("%d waits %v for %s", id, e.After, showTimer(e.ID))
		}
		g.timers[id][e.ID.N] = e
	case mir.CancelTimer:
		g.tracef("%d stops waiting for %s", id, showTimer(e.ID))
		delete(g.timers[id], e.ID.N)
	case types.SlotDecided:
		g.tracef("%d decides %d: %s", id, e.Seq, showValue(e.Proposal))
		if was, again := g.decided[id][e.Seq]; g.latest[id][e.Seq] || again && digestOf(was) != digestOf(e.Proposal) {
			g.t.Fatalf("replica %d decides slot %d: %s after %s", id, e.Seq, showValue(e.Proposal), showValue(was))
		}
		g.decided[id][e.Seq], g.latest[id][e.Seq] = e.Proposal, true
	case types.SlotProposed:
		g.tracef("%d saw a proposal for %d", id, e.Seq)
		g.reported[id][e.Seq] = true
	case types.LeaderDeposed:
		g.tracef("%d deposes leader %d", id, e.Leader)
		g.deposed[id] = true
	default:
		g.t.Fatalf("replica %d emits %s", id, ev.Body.EventName())
	}
	return true
}

func (g *group) send(id types.NodeID, e mir.Send, queue *[]mir.Body) {
	g.checkConsistent(id, e.Msg)
	var others []types.NodeID
	for _, to := range e.To {
		if to == id {
			*queue = append(*queue, mir.Received{From: id, Msg: e.Msg})
			continue
		}
		others = append(others, to)
		g.inFlight = append(g.inFlight, packet{from: id, to: to, msg: g.overTheWire(e.Msg)})
	}
	if len(others) > 0 {
		g.tracef("%d sends %s to %v", id, show(e.Msg), others)
	}
}

// checkConsistent fails where a replica says a second, different thing about what
// it may say one thing about, in all its lives.
func (g *group) checkConsistent(id types.NodeID, m mir.Message) {
	var about string
	content := fmt.Sprintf("%+v", m)
	switch m := m.(type) {
	case PrePrepare:
		about, content = fmt.Sprintf("prepare of view 0 slot %d", m.Seq), digestOf(m.Proposal).String()
	case Prepare:
		about, content = fmt.Sprintf("prepare of view %d slot %d", m.View, m.Seq), m.Digest.String()
	case Commit:
		about = fmt.Sprintf("commit of view %d slot %d", m.View, m.Seq)
	case ViewChange:
		about = fmt.Sprintf("view change to %d", m.View)
	case NewView:
		about = fmt.Sprintf("new view %d", m.View)
	case Decision:
		about = fmt.Sprintf("decision of slot %d", m.Seq)
	default:
		return
	}
	about = fmt.Sprintf("%s by replica %d", about, id)
	if was, again := g.said[about]; again && was != content {
		g.t.Fatalf("%s is\n\t%s\nand was\n\t%s", about, content, was)
	}
	g.said[about] = content
}

func (g *group) persist(id types.NodeID, e types.Persist, queue *[]mir.Body) (up bool) {
	crash, kept := false, true
	if g.fails != nil {
		crash, kept = g.fails(id)
	}
	if kept {
		for _, rec := range e.Puts {
			g.stores[id][string(rec.Key)] = string(rec.Value)
		}
	}
	if crash {
		return false
	}
	for _, ev := range e.Then {
		g.emitted(id, ev, queue)
	}
	return true
}

// restart builds a replica again from what it wrote down, and lets it crash
// again if it likes.
func (g *group) restart(id types.NodeID) {
	g.tracef("%d restarts", id)
	g.nodes[id] = g.newInstance(id)
	clear(g.timers[id])
	clear(g.latest[id])
	if _, err := g.nodes[id].Recover(g.records(id)); err != nil {
		g.t.Fatalf("replica %d: %v", id, err)
	}
	g.apply(id, types.Boot{})
}

// records is what a replica wrote down.
func (g *group) records(id types.NodeID) (records []types.Record) {
	for _, key := range slices.Sorted(maps.Keys(g.stores[id])) {
		records = append(records, types.Record{Key: []byte(key), Value: []byte(g.stores[id][key])})
	}
	return records
}

func showTimer(id mir.TimerID) string {
	switch id.N {
	case tickTimer:
		return "the tick"
	case leavingTimer:
		return "the new view"
	}
	return fmt.Sprintf("slot number %d", id.N-firstSlotTimer)
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

// patience is the timer of a replica's view: that of the new view, or that of the
// lowest slot. Nil if none is set.
func (g *group) patience(id types.NodeID) *mir.SetTimer {
	for _, n := range slices.Sorted(maps.Keys(g.timers[id])) {
		if n != tickTimer {
			timer := g.timers[id][n]
			return &timer
		}
	}
	return nil
}

// expire ends the patience of these replicas.
func (g *group) expire(ids ...types.NodeID) {
	for _, id := range ids {
		timer := g.patience(id)
		if timer == nil {
			g.t.Fatalf("replica %d has no timer that could fire", id)
		}
		delete(g.timers[id], timer.ID.N)
		g.tracef("> %d: timeout of %s", id, showTimer(timer.ID))
		g.apply(id, timer.Fire.Body)
	}
}

// settle lets everybody send again and delivers everything, rounds times.
func (g *group) settle(rounds int) {
	for range rounds {
		g.tick(g.members.Nodes()...)
		g.run()
	}
}

// tick lets these replicas send again, if they want to.
func (g *group) tick(ids ...types.NodeID) {
	for _, id := range ids {
		if timer, set := g.timers[id][tickTimer]; set {
			delete(g.timers[id], tickTimer)
			g.tracef("> %d: tick", id)
			g.apply(id, timer.Fire.Body)
		}
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
func (g *group) prepared(v types.View, seq types.SeqNr, p types.Proposal, ids ...types.NodeID) certified {
	cert := certified{Prepared{Seq: seq, View: v, Digest: digestOf(p)}, Proof{Proposal: p}}
	for _, id := range ids {
		cert.Sigs = append(cert.Sigs, types.Signature{Signer: id, Sig: g.prepare(id, v, seq, p).Sig})
	}
	return cert
}

func (g *group) change(from types.NodeID, v types.View, certs ...certified) ViewChange {
	m := ViewChange{View: v}
	for _, cert := range certs {
		m.Prepared, m.Proofs = append(m.Prepared, cert.Prepared), append(m.Proofs, cert.Proof)
	}
	statement, _ := changeStatement(g.segment, m)
	m.Sig = g.cryptos[from].Sign(DomainViewChange, statement)
	return m
}

// shown is a view change as a new view shows it.
func (g *group) shown(from types.NodeID, v types.View, certs ...certified) SignedChange {
	m := g.change(from, v, certs...)
	m.Proofs = nil
	return SignedChange{from, m}
}

func showValue(p types.Proposal) string {
	switch {
	case p.Skip:
		return "skipped"
	case len(p.Certs) == 0:
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
		return fmt.Sprintf("VIEW-CHANGE to %d, prepared %s", m.View, showPrepared(m.Prepared, m.Proofs))
	case NewView:
		var b strings.Builder
		for _, c := range m.Changes {
			fmt.Fprintf(&b, " %d%s", c.Signer, showPrepared(c.Prepared, m.Proofs))
		}
		return fmt.Sprintf("NEW-VIEW %d from view changes%s", m.View, b.String())
	case Ask:
		return fmt.Sprintf("ASK for %v", m.Slots)
	case Decision:
		return fmt.Sprintf("DECISION slot %d %s", m.Seq, showValue(m.Proposal))
	}
	return m.EventName()
}

// showPrepared shows certificates by the values that they are for, as far as some
// proof has them.
func showPrepared(certs []Prepared, proofs []Proof) string {
	var parts []string
	for _, p := range certs {
		value := p.Digest.String()
		for _, proof := range proofs {
			if digestOf(proof.Proposal) == p.Digest {
				value = showValue(proof.Proposal)
			}
		}
		parts = append(parts, fmt.Sprintf("slot %d view %d %s", p.Seq, p.View, value))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// shuffle delivers everything in an order drawn from rng, repeating some, and
// on the way lets up to timeouts timers fire. It ends when nothing is in flight.
func (g *group) shuffle(rng *rand.Rand, timeouts int) {
	for len(g.inFlight) > 0 {
		if timeouts > 0 && rng.IntN(10) == 0 {
			timeouts--
			if id := types.NodeID(rng.IntN(len(g.nodes))); g.patience(id) != nil {
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
