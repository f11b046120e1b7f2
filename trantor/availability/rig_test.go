package availability

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

const (
	self mir.ModuleID = iota + 1
	net
	timer
	store
	pool
	ordering
	delivery
)

const buckets = 4

func config(node types.NodeID, n int) Config {
	return Config{
		Self: self, Net: net, Timer: timer, Store: store, Mempool: pool, Ordering: ordering, Delivery: delivery,
		Node: node, Members: quorum.Equal(n), ConfigDelay: 3, Crypto: crypto.NewSimulated(1, node, 16),
		BatchBytesMax: 40, WindowSize: 4, HeldBytesMax: 130, StoringBytesMax: 1 << 20, Buckets: buckets, BucketGrace: 1,
		KeepEpochs: 1, RetryAfter: time.Second,
	}
}

// rig is a module with a store that makes everything durable at once, unless it
// is held, and a trace of what went in and what came out.
type rig struct {
	t     *testing.T
	cfg   Config
	a     *Availability
	trace bytes.Buffer

	records  map[string][]byte
	persists int         // How many there were.
	slow     bool        // Then is kept in late.
	late     []mir.Event // What the store owes.
}

// newRig is a module in epoch 0, which all lead.
func newRig(t *testing.T, cfg Config) *rig {
	r := &rig{t: t, cfg: cfg, a: New(cfg), records: map[string][]byte{}}
	r.feed(r.begun(0))
	return r
}

// begun begins an epoch that all members of cfg lead.
func (r *rig) begun(e types.Epoch) types.EpochBegun {
	return types.EpochBegun{Epoch: e, Leaders: r.cfg.Members.Nodes()}
}

// feed applies events and describes what comes out.
func (r *rig) feed(bodies ...mir.Body) string {
	r.t.Helper()
	var lines []string
	for _, body := range bodies {
		fmt.Fprintf(&r.trace, "> %s\n", r.describe(body))
		for _, ev := range r.run(mir.Event{To: self, Body: body}) {
			line := r.describe(ev.Body)
			fmt.Fprintln(&r.trace, line)
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " ")
}

// run applies an event and what the store makes of it.
func (r *rig) run(ev mir.Event) (events []mir.Event) {
	var out mir.Out
	r.a.Apply(ev, &out)
	for _, ev := range append([]mir.Event(nil), out.Events()...) {
		p, ok := ev.Body.(types.Persist)
		if !ok {
			events = append(events, ev)
			continue
		}
		r.persists++
		for key := range r.records {
			for _, d := range p.Deletes {
				if key >= string(d.From) && key < string(d.To) {
					delete(r.records, key)
				}
			}
		}
		for _, put := range p.Puts {
			r.records[string(put.Key)] = put.Value
		}
		if r.slow {
			r.late = append(r.late, p.Then...)
			continue
		}
		events = append(events, r.then(p.Then)...)
	}
	return events
}

// then applies what the store emits.
func (r *rig) then(all []mir.Event) (events []mir.Event) {
	for _, ev := range all {
		if ev.To == self {
			events = append(events, r.run(ev)...)
		} else {
			events = append(events, ev)
		}
	}
	return events
}

// wantLate lets the store do what it owes.
func (r *rig) wantLate(want string) {
	r.t.Helper()
	late := r.late
	r.late = nil
	var lines []string
	for _, ev := range r.then(late) {
		lines = append(lines, r.describe(ev.Body))
	}
	if got := strings.Join(lines, " "); got != want {
		r.t.Errorf("got  %s\nwant %s", got, want)
	}
}

func (r *rig) want(want string, bodies ...mir.Body) {
	r.t.Helper()
	if got := r.feed(bodies...); got != want {
		r.t.Errorf("got  %s\nwant %s", got, want)
	}
}

// describe knows what goes in and what comes out.
func (r *rig) describe(body mir.Body) string {
	switch e := body.(type) {
	case mir.Received:
		return fmt.Sprintf("%s from %d", r.describe(e.Msg), e.From)
	case mir.Send:
		return fmt.Sprintf("%s>%v", r.describe(e.Msg), e.To)
	case mir.SetTimer:
		return "set"
	case types.NewBatch:
		return fmt.Sprintf("new(%s of epoch %d)", payload(e.Data), e.Epoch)
	case types.CertReady:
		return describeCert(e.Cert)
	case types.CertStale:
		return "stale " + describeCert(e.Cert)
	case types.NeedBatch:
		return "need " + describeCert(e.Cert)
	case types.BatchData:
		if types.HashBatch(e.Data) != e.Batch {
			r.t.Errorf("data %q is not of digest %s", e.Data, e.Batch)
		}
		return fmt.Sprintf("data(%s)", payload(e.Data))
	case types.BatchVoided:
		return fmt.Sprintf("back(%s)", payload(e.Data))
	case types.BatchUsed:
		return fmt.Sprintf("used(%d/%d in %d)", e.Creator, e.No, e.Epoch)
	case types.EpochBegun:
		return fmt.Sprintf("epoch %d led by %v", e.Epoch, e.Leaders)
	case types.StableCheckpoint:
		return fmt.Sprintf("stable(%d)", e.Epoch)
	case Batch:
		if len(e.Data) == 0 {
			return fmt.Sprintf("void(%d)", e.No)
		}
		return fmt.Sprintf("batch(%d %s)", e.No, payload(e.Data))
	case Ack:
		return fmt.Sprintf("ack(%d)", e.No)
	case Request:
		return fmt.Sprintf("request(%d/%d)", e.ID.Creator, e.ID.No)
	case Response:
		return fmt.Sprintf("response(%d/%d %s)", e.ID.Creator, e.ID.No, payload(e.Data))
	case tick:
		return "tick"
	}
	return body.EventName()
}

func describeCert(c types.Certificate) string {
	var signers []types.NodeID
	for _, s := range c.Sigs {
		signers = append(signers, s.Signer)
	}
	if c.Batch == types.VoidDigest {
		return fmt.Sprintf("voidcert(%d by %v)", c.No, signers)
	}
	return fmt.Sprintf("cert(%d by %v)", c.No, signers)
}

// payload is that of the one transaction of a batch, with the first of a batch
// that does not decode.
func payload(data []byte) string {
	txs, err := types.DecodeBatch(data)
	if err != nil {
		return fmt.Sprintf("%.8q", data)
	}
	return string(txs[0].Payload)
}

// dataIn is a batch of one transaction in a bucket that is owner's in an epoch
// which n replicas lead.
func dataIn(e types.Epoch, owner types.NodeID, n int, text string) []byte {
	leaders := quorum.Equal(n).Nodes()
	for client := types.ClientID(0); ; client++ {
		if types.BucketOwner(types.BucketOf(client, buckets), e, leaders) == owner {
			return types.EncodeBatch([]types.Tx{{TxID: types.TxID{Client: client}, Payload: []byte(text)}})
		}
	}
}

// dataOf is a batch that one of the first four replicas may make in epoch 0.
func dataOf(owner types.NodeID, text string) []byte { return dataIn(0, owner, 4, text) }

func from(node types.NodeID, msg mir.Message) mir.Received {
	return mir.Received{From: node, Msg: msg}
}

// own is a batch of the replica itself, whose buckets nobody checks.
func own(text string) types.NewBatch { return types.NewBatch{Data: dataOf(0, text)} }

// sent is a batch of epoch 0 that its creator sent.
func sent(creator types.NodeID, no types.BatchNo, text string) mir.Received {
	return from(creator, Batch{No: no, Data: dataOf(creator, text)})
}

func idOf(creator types.NodeID, no types.BatchNo, text string) BatchID {
	return BatchID{Creator: creator, No: no, Digest: types.HashBatch(dataOf(creator, text))}
}

// ownID is that of an own batch.
func ownID(creator types.NodeID, no types.BatchNo, text string) BatchID {
	return BatchID{Creator: creator, No: no, Digest: types.HashBatch(dataOf(0, text))}
}

func voidID(creator types.NodeID, no types.BatchNo) BatchID {
	return BatchID{Creator: creator, No: no, Digest: types.VoidDigest}
}

func ack(node types.NodeID, id BatchID) Ack {
	return Ack{No: id.No, Batch: id.Digest, Sig: crypto.NewSimulated(1, node, 16).Sign(AckDomain, signedAck(id))}
}

// acked is node's acknowledgement as it arrives.
func acked(node types.NodeID, id BatchID) mir.Received { return from(node, ack(node, id)) }

func cert(id BatchID, signers ...types.NodeID) types.Certificate {
	c := types.Certificate{Creator: id.Creator, No: id.No, Batch: id.Digest}
	for _, s := range signers {
		c.Sigs = append(c.Sigs, types.Signature{Signer: s, Sig: ack(s, id).Sig})
	}
	return c
}

func need(id BatchID, signers ...types.NodeID) types.NeedBatch {
	return types.NeedBatch{Cert: cert(id, signers...)}
}

func answer(id BatchID, text string) Response {
	return Response{ID: id, Data: dataOf(id.Creator, text)}
}

func used(id BatchID, epoch types.Epoch) types.BatchUsed {
	return types.BatchUsed{Batch: id.Digest, Epoch: epoch, Creator: id.Creator, No: id.No}
}
