package availability

import (
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/types"
)

// collection is a batch of this replica on its way to its certificate.
type collection struct {
	id    BatchID
	data  []byte // nil once it is void
	epoch types.Epoch
	sigs  *crypto.SigSet
	// durable: it may be sent, and this replica's own signature is in.
	durable bool
	// ready: the certificate waits for those of lower numbers.
	ready bool
	// seen: it was there at the last tick.
	seen bool
	// resent is how often it was sent again in later epochs than its own.
	resent int
}

func (c *collection) void() bool { return c.id.Digest == types.VoidDigest }

func (c *collection) message() Batch { return Batch{No: c.id.No, Epoch: c.epoch, Data: c.data} }

// durable is what the store answers when an own batch is.
type durable struct{ no types.BatchNo }

func (durable) EventName() string { return "availability.Durable" }

// startQueued numbers, stores and spreads the batches that the window allows. One
// that has become too old while it waited goes back without a number.
func (a *Availability) startQueued(out *mir.Out) {
	used, started := a.creators[a.cfg.Node].used, 0
	for used.Has(uint64(a.next)) {
		a.next++
	}
	for started < len(a.queue) && used.InReach(uint64(a.next)) {
		if b := a.queue[started]; a.tooOld(b.Epoch) {
			a.giveBack(b.Data, out)
		} else {
			a.start(b, out)
		}
		started++
	}
	a.queue = slices.Delete(a.queue, 0, started)
}

// start makes a batch durable and then sends it and counts its own signature.
func (a *Availability) start(b types.NewBatch, out *mir.Out) {
	id := BatchID{Creator: a.cfg.Node, No: a.next, Digest: types.HashBatch(b.Data)}
	a.next++
	a.creators[id.Creator].hold(id.No, heldBatch{digest: id.Digest, data: b.Data, epoch: b.Epoch})
	c := &collection{id: id, data: b.Data, epoch: b.Epoch, sigs: crypto.NewSigSet(a.members)}
	a.addCollection(c)
	then := []mir.Event{{To: a.cfg.Self, Body: durable{no: id.No}}}
	if len(a.others) > 0 {
		then = slices.Insert(then, 0, mir.Event{To: a.cfg.Net, Body: a.message(a.others, c.message())})
	}
	out.Emit(a.cfg.Store, types.Persist{Puts: []types.Record{recordOf(id, b.Epoch, b.Data)}, Then: then})
}

func (a *Availability) addCollection(c *collection) {
	a.collecting[c.id.No] = c
	if at, found := slices.BinarySearch(a.order, c.id.No); !found {
		a.order = slices.Insert(a.order, at, c.id.No)
	}
}

// onDurable counts this replica's own signature. By then the batch may have been
// voided, for which it has signed already, or be used.
func (a *Availability) onDurable(no types.BatchNo, out *mir.Out) {
	if c := a.collecting[no]; c != nil && !c.durable {
		c.durable = true
		a.signOwn(c)
		a.reportReady(out)
	}
}

func (a *Availability) signOwn(c *collection) {
	a.addSig(c, types.Signature{Signer: a.cfg.Node, Sig: a.cfg.Crypto.Sign(AckDomain, signedAck(c.id))})
}

// addSig adds a verified signature.
func (a *Availability) addSig(c *collection, sig types.Signature) {
	c.sigs.Add(sig)
	c.ready = c.durable && a.members.HasCorrect(c.sigs.Weight())
}

// reportReady gives ordering the certificates, in the order of their numbers.
func (a *Availability) reportReady(out *mir.Out) {
	n := 0
	for ; n < len(a.order); n++ {
		c := a.collecting[a.order[n]]
		if c != nil && !c.ready {
			break
		}
		if c != nil {
			delete(a.collecting, c.id.No)
			out.Emit(a.cfg.Ordering, types.CertReady{Cert: types.Certificate{
				Creator: c.id.Creator, No: c.id.No, Batch: c.id.Digest, Sigs: c.sigs.Sigs(),
			}})
		}
	}
	a.order = slices.Delete(a.order, 0, n)
}

// onAck counts a signature towards a certificate of this replica. Those that
// come after the certificate are not even verified.
func (a *Availability) onAck(from types.NodeID, m Ack, out *mir.Out) {
	a.peers[from].wait, a.peers[from].left = 0, 0
	c := a.collecting[m.No]
	if c == nil || c.ready || c.sigs.Has(from) || !a.members.Has(from) {
		return
	}
	if c.void() && m.Batch == a.creators[a.cfg.Node].batches[m.No].held.digest {
		return // It was on its way when the batch was voided.
	}
	if m.Batch != c.id.Digest || a.peers[from].exposed {
		a.stats.BadAcks++
		return
	}
	if a.cfg.Crypto.Verify(from, AckDomain, signedAck(c.id), m.Sig) != nil {
		a.stats.BadAcks++
		a.peers[from].exposed = true
		return
	}
	a.addSig(c, types.Signature{Signer: from, Sig: m.Sig})
	a.reportReady(out)
}

// resend sends batches again to those who have not acknowledged them: messages
// get lost, and a replica that lagged may have had no room. It goes on where the
// tick before ended, so that all get their turn.
func (a *Availability) resend(out *mir.Out) {
	due := a.peersDue()
	sentTo := make([]bool, len(a.peers))
	first, _ := slices.BinarySearch(a.order, a.resendFrom)
	sent := 0
	for i := range a.order {
		c := a.collecting[a.order[(first+i)%len(a.order)]]
		if c == nil || c.ready || !c.durable {
			continue
		}
		if !c.seen {
			c.seen = true
			continue
		}
		silent := slices.DeleteFunc(slices.Clone(due), c.sigs.Has)
		if len(silent) == 0 {
			continue
		}
		a.send(silent, c.message(), out)
		for _, id := range silent {
			sentTo[id] = true
		}
		if c.epoch < a.epoch {
			c.resent++
		}
		a.resendFrom = c.id.No + 1
		if sent++; sent == ResendMax {
			break
		}
	}
	a.stats.Resent += uint64(sent)
	for id, sent := range sentTo {
		if p := &a.peers[id]; sent {
			p.wait = min(2*p.wait+1, ResendWaitMax)
			p.left = p.wait - 1
		}
	}
}

// peersDue are the members that may be sent something again at this tick.
func (a *Availability) peersDue() []types.NodeID {
	var due []types.NodeID
	for _, id := range a.others {
		if p := &a.peers[id]; p.left > 0 {
			p.left--
		} else {
			due = append(due, id)
		}
	}
	return due
}

// tooOld tells whether no correct replica will acknowledge a batch any more, as
// far as this one can tell.
func (a *Availability) tooOld(made types.Epoch) bool {
	return a.cfg.Buckets > 0 && a.past(made)
}

// unwanted tells whether a batch of an earlier epoch was sent again in vain so
// often that it is not waited for any longer. Peers that came up in the current
// epoch do not know who led the earlier one, and refuse the batch for good; where
// nothing else is ordered no epoch ends that would make it too old.
func (a *Availability) unwanted(c *collection) bool {
	return a.cfg.Buckets > 0 && c.epoch < a.epoch && c.resent >= ResentMax
}

// past tells whether an epoch lies further back than batches are taken from.
func (a *Availability) past(made types.Epoch) bool {
	return made+types.Epoch(a.cfg.BucketGrace) < a.epoch
}

// voidOld stops collecting for batches that are too old or unwanted, and collects
// for the empty batch instead.
func (a *Availability) voidOld(out *mir.Out) {
	for _, no := range a.order {
		c := a.collecting[no]
		if c == nil || c.ready || c.void() || !a.tooOld(c.epoch) && !a.unwanted(c) {
			continue
		}
		a.stats.Voided++
		a.giveBack(c.data, out)
		c.id.Digest, c.data, c.seen = types.VoidDigest, nil, false
		c.sigs, c.durable = crypto.NewSigSet(a.members), true
		a.signOwn(c)
		// The number must be durable before it is sent. Its record is on its way
		// at least, and what is persisted later is durable later.
		if len(a.others) > 0 {
			out.Emit(a.cfg.Store, types.Persist{Then: []mir.Event{{To: a.cfg.Net, Body: a.message(a.others, c.message())}}})
		}
	}
	a.reportReady(out)
}

// giveBack hands the transactions of an own batch to the mempool again.
func (a *Availability) giveBack(data []byte, out *mir.Out) {
	out.Emit(a.cfg.Mempool, types.BatchVoided{Data: data})
}

// onCertStale collects again for a batch whose certificate has too little weight
// under the members of a later epoch. Signatures of those who still are members
// count. Only own batches come here; a leader that proposes for others drops
// theirs, and they hear of it themselves.
func (a *Availability) onCertStale(cert types.Certificate, out *mir.Out) {
	if cert.Creator != a.cfg.Node || a.collecting[cert.No] != nil || !a.members.Has(a.cfg.Node) {
		return
	}
	e := a.creators[a.cfg.Node].batches[cert.No]
	void := cert.Batch == types.VoidDigest
	if e == nil || e.used || !void && e.held.digest != cert.Batch {
		return
	}
	c := &collection{
		id:    BatchID{Creator: cert.Creator, No: cert.No, Digest: cert.Batch},
		epoch: e.held.epoch, sigs: crypto.NewSigSet(a.members), durable: true,
	}
	if !void {
		c.data = e.held.data
	}
	for _, sig := range cert.Sigs {
		a.addSig(c, sig)
	}
	a.signOwn(c)
	a.addCollection(c)
	a.send(slices.DeleteFunc(slices.Clone(a.others), c.sigs.Has), c.message(), out)
	a.reportReady(out)
}
