// Package availability spreads batches and certifies that they can be had.
//
// The creator of a batch sends it to every replica; each stores it and answers
// with a signature; signatures of weight more than f make a certificate, for at
// least one correct replica then holds the batch (the dissemination layer of
// Narwhal and the proof of availability of ISS). Ordering sees certificates
// only, and delivery asks here for the batch behind one.
//
// Its one opinion is that batches are numbered by their creator, and that a
// replica holds one batch for each number of a sliding window, at most. That
// bounds what a faulty creator can make others store, and it bounds how long a
// certificate can be ordered: delivery skips a number that is in the log already.
//
// It does not look into batches, and it does not order anything.
//
// Memory: WindowSize batches of BatchBytesMax for each creator that are not
// ordered, and those ordered in the last KeepEpochs epochs.
package availability

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// AckDomain is what acknowledgements are signed for.
const AckDomain crypto.Domain = "trantor/availability/ack"

// Config of an Availability.
type Config struct {
	Self     mir.ModuleID
	Net      mir.ModuleID
	Timer    mir.ModuleID
	Ordering mir.ModuleID // gets types.CertReady
	Delivery mir.ModuleID // gets types.BatchData

	Node    types.NodeID
	Members quorum.Membership
	Crypto  crypto.Crypto

	BatchBytesMax int           // a larger batch of a peer is refused
	WindowSize    int           // batches of one creator that are not ordered
	KeepEpochs    int           // epochs for which a batch outlives its epoch's checkpoint
	RetryAfter    time.Duration // then an unanswered batch or request is sent again
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	switch {
	case !c.Members.Has(c.Node):
		return fmt.Errorf("availability: replica %d is no member", c.Node)
	case c.BatchBytesMax < 1 || c.BatchBytesMax > types.MaxBatchBytes:
		return fmt.Errorf("availability: BatchBytesMax is %d, want 1 to %d", c.BatchBytesMax, types.MaxBatchBytes)
	case c.WindowSize < 1 || c.WindowSize > types.MaxWindow:
		return fmt.Errorf("availability: WindowSize is %d, want 1 to %d", c.WindowSize, types.MaxWindow)
	case c.KeepEpochs < 0:
		return fmt.Errorf("availability: KeepEpochs is %d, want 0 or more", c.KeepEpochs)
	case c.RetryAfter <= 0:
		return fmt.Errorf("availability: RetryAfter is %v, want more than 0", c.RetryAfter)
	}
	return nil
}

// Stats counts what was refused, by reason. Only faulty peers, retransmission
// and lagging make these grow.
type Stats struct {
	BadSize       uint64 // batches that are empty or larger than BatchBytesMax
	OutsideWindow uint64 // batches with a number that is used or too far ahead
	Equivocations uint64 // second batches for a number
	BadAcks       uint64 // acknowledgements of another digest or with a bad signature
	BadResponses  uint64 // responses that nobody asked for or with other data
	NotHeld       uint64 // requests for a batch that is not here
	Misaddressed  uint64 // messages of strangers, or of other modules
}

// creator is what is known of one replica's batches.
type creator struct {
	used *types.Window               // numbers that are delivered
	held map[types.BatchNo]heldBatch // acknowledged and not delivered
}

// heldBatch is the one batch of a number that this replica acknowledged.
type heldBatch struct {
	digest types.Digest
	ack    []byte // the signature, kept so that a repeated batch costs no second one
}

// collection is a batch of this replica on its way to its certificate.
type collection struct {
	id   BatchID
	sigs *crypto.SigSet
}

// fetch is a certified batch on its way here.
type fetch struct {
	signers []types.NodeID // whom to ask, without this replica
	asked   int            // requests sent so far; the next goes to asked modulo len(signers)
	timer   uint64
}

type usedBatch struct {
	id    BatchID
	epoch types.Epoch
}

// retransmit and retryFetch are the module's timeouts.
type (
	retransmit struct{ no types.BatchNo }
	retryFetch struct{ id BatchID }
)

func (retransmit) EventName() string { return "availability.Retransmit" }
func (retryFetch) EventName() string { return "availability.RetryFetch" }

// Availability is the module.
type Availability struct {
	cfg    Config
	others []types.NodeID

	store    map[BatchID][]byte
	creators []creator // by replica
	used     []usedBatch

	next       types.BatchNo // number of this replica's next batch
	collecting map[types.BatchNo]*collection
	queue      [][]byte // own batches beyond the window; the mempool bounds them

	fetches   map[BatchID]*fetch
	nextTimer uint64

	stats Stats
}

// New makes an empty store. It panics where cfg is not valid.
func New(cfg Config) *Availability {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	a := &Availability{
		cfg:        cfg,
		store:      map[BatchID][]byte{},
		creators:   make([]creator, cfg.Members.N()),
		collecting: map[types.BatchNo]*collection{},
		fetches:    map[BatchID]*fetch{},
	}
	for i := range a.creators {
		a.creators[i] = creator{used: types.NewWindow(cfg.WindowSize), held: map[types.BatchNo]heldBatch{}}
	}
	for _, id := range cfg.Members.Nodes() {
		if id != cfg.Node {
			a.others = append(a.others, id)
		}
	}
	return a
}

// Stats is what was refused so far.
func (a *Availability) Stats() Stats { return a.stats }

// Held is how many batches are stored.
func (a *Availability) Held() int { return len(a.store) }

// Apply implements mir.Module.
func (a *Availability) Apply(ev mir.Event, out *mir.Out) {
	switch e := ev.Body.(type) {
	case types.NewBatch:
		a.queue = append(a.queue, e.Data)
		a.startQueued(out)
	case types.NeedBatch:
		a.onNeedBatch(e.Cert, out)
	case types.BatchUsed:
		a.onBatchUsed(e, out)
	case types.StableCheckpoint:
		a.collect(e.Epoch)
	case retransmit:
		a.onRetransmit(e.no, out)
	case retryFetch:
		a.ask(e.id, out)
	case types.Boot, types.EpochConfig, types.EpochBegun, types.Restored:
	case mir.Received:
		a.onReceived(e, out)
	default:
		panic(fmt.Sprintf("availability: invariant broken: got %s", ev.Body.EventName()))
	}
}

func (a *Availability) onReceived(e mir.Received, out *mir.Out) {
	if !a.cfg.Members.Has(e.From) {
		a.stats.Misaddressed++
		return
	}
	switch m := e.Msg.(type) {
	case Batch:
		a.onBatch(e.From, m, out)
	case Ack:
		a.onAck(e.From, m, out)
	case Request:
		a.onRequest(e.From, m, out)
	case Response:
		a.onResponse(e.From, m, out)
	default:
		a.stats.Misaddressed++
	}
}

// startQueued numbers, stores and spreads the batches that the window allows.
func (a *Availability) startQueued(out *mir.Out) {
	used, started := a.creators[a.cfg.Node].used, 0
	for started < len(a.queue) && used.InReach(uint64(a.next)) {
		a.start(a.queue[started], out)
		started++
	}
	a.queue = slices.Delete(a.queue, 0, started)
}

func (a *Availability) start(data []byte, out *mir.Out) {
	id := BatchID{Creator: a.cfg.Node, No: a.next, Digest: types.HashBatch(data)}
	a.next++
	sig := a.hold(id, data)
	c := &collection{id: id, sigs: crypto.NewSigSet(a.cfg.Members)}
	a.collecting[id.No] = c
	a.send(a.others, Batch{No: id.No, Data: data}, out)
	a.addSig(c, types.Signature{Signer: a.cfg.Node, Sig: sig}, out)
	if _, open := a.collecting[id.No]; open {
		a.setRetransmit(id.No, out)
	}
}

// hold stores a batch and signs for it.
func (a *Availability) hold(id BatchID, data []byte) []byte {
	sig := a.cfg.Crypto.Sign(AckDomain, signedAck(id))
	a.store[id] = data
	a.creators[id.Creator].held[id.No] = heldBatch{digest: id.Digest, ack: sig}
	return sig
}

// addSig adds a verified signature, and reports the certificate once it is one.
func (a *Availability) addSig(c *collection, sig types.Signature, out *mir.Out) {
	c.sigs.Add(sig)
	if !a.cfg.Members.HasCorrect(c.sigs.Weight()) {
		return
	}
	delete(a.collecting, c.id.No)
	out.Emit(a.cfg.Ordering, types.CertReady{Cert: types.Certificate{
		Creator: c.id.Creator, No: c.id.No, Batch: c.id.Digest, Sigs: c.sigs.Sigs(),
	}})
}

// onRetransmit sends a batch again to those who have not acknowledged it:
// messages get lost, and a replica that lagged may have had no room.
func (a *Availability) onRetransmit(no types.BatchNo, out *mir.Out) {
	c := a.collecting[no]
	if c == nil {
		return
	}
	var silent []types.NodeID
	for _, id := range a.others {
		if !c.sigs.Has(id) {
			silent = append(silent, id)
		}
	}
	a.send(silent, Batch{No: no, Data: a.store[c.id]}, out)
	a.setRetransmit(no, out)
}

func (a *Availability) setRetransmit(no types.BatchNo, out *mir.Out) {
	a.setTimer(retransmitTimer(no), retransmit{no: no}, out)
}

// Timers of own batches and of fetches share one number space, by parity.
func retransmitTimer(no types.BatchNo) uint64 { return 2 * uint64(no) }
func fetchTimer(n uint64) uint64              { return 2*n + 1 }

func (a *Availability) setTimer(n uint64, fire mir.Body, out *mir.Out) {
	out.Emit(a.cfg.Timer, mir.SetTimer{
		ID:    mir.TimerID{Owner: a.cfg.Self, N: n},
		After: a.cfg.RetryAfter,
		Fire:  mir.Event{To: a.cfg.Self, Body: fire},
	})
}

func (a *Availability) send(to []types.NodeID, msg mir.Message, out *mir.Out) {
	if len(to) > 0 {
		out.Emit(a.cfg.Net, mir.Send{To: to, Dest: a.cfg.Self, Msg: msg})
	}
}

// onBatch stores a peer's batch and acknowledges it.
func (a *Availability) onBatch(from types.NodeID, m Batch, out *mir.Out) {
	peer := &a.creators[from]
	if len(m.Data) == 0 || len(m.Data) > a.cfg.BatchBytesMax {
		a.stats.BadSize++
		return
	}
	if peer.used.Has(uint64(m.No)) || !peer.used.InReach(uint64(m.No)) {
		a.stats.OutsideWindow++
		return
	}
	if held, ok := peer.held[m.No]; ok {
		id := BatchID{Creator: from, No: m.No, Digest: held.digest}
		if !bytes.Equal(m.Data, a.store[id]) {
			a.stats.Equivocations++
			return
		}
		a.send([]types.NodeID{from}, Ack{No: m.No, Batch: held.digest, Sig: held.ack}, out)
		return
	}
	id := BatchID{Creator: from, No: m.No, Digest: types.HashBatch(m.Data)}
	sig := a.hold(id, m.Data)
	a.send([]types.NodeID{from}, Ack{No: m.No, Batch: id.Digest, Sig: sig}, out)
	a.arrived(id, m.Data, out)
}

// onAck counts a signature towards a certificate of this replica. Those that
// come after the certificate are not even verified.
func (a *Availability) onAck(from types.NodeID, m Ack, out *mir.Out) {
	c := a.collecting[m.No]
	if c == nil || c.sigs.Has(from) {
		return
	}
	if m.Batch != c.id.Digest || a.cfg.Crypto.Verify(from, AckDomain, signedAck(c.id), m.Sig) != nil {
		a.stats.BadAcks++
		return
	}
	a.addSig(c, types.Signature{Signer: from, Sig: m.Sig}, out)
	if _, open := a.collecting[m.No]; !open {
		out.Emit(a.cfg.Timer, mir.CancelTimer{ID: mir.TimerID{Owner: a.cfg.Self, N: retransmitTimer(m.No)}})
	}
}

// onNeedBatch hands delivery a batch, or begins to fetch it.
func (a *Availability) onNeedBatch(cert types.Certificate, out *mir.Out) {
	id := BatchID{Creator: cert.Creator, No: cert.No, Digest: cert.Batch}
	if data, ok := a.store[id]; ok {
		out.Emit(a.cfg.Delivery, types.BatchData{Batch: id.Digest, Data: data})
		return
	}
	if a.fetches[id] != nil {
		return
	}
	f := &fetch{timer: fetchTimer(a.nextTimer)}
	for _, s := range cert.Sigs {
		if s.Signer != a.cfg.Node {
			f.signers = append(f.signers, s.Signer)
		}
	}
	if len(f.signers) == 0 {
		panic(fmt.Sprintf("availability: invariant broken: batch %s has no other signer and is not held", id.Digest))
	}
	a.nextTimer++
	a.fetches[id] = f
	a.ask(id, out)
}

// ask sends a request to the next signer, one after the other without end: one
// of them at least is correct and holds the batch.
func (a *Availability) ask(id BatchID, out *mir.Out) {
	f := a.fetches[id]
	if f == nil {
		return
	}
	to := f.signers[f.asked%len(f.signers)]
	f.asked++
	a.send([]types.NodeID{to}, Request{ID: id}, out)
	a.setTimer(f.timer, retryFetch{id: id}, out)
}

func (a *Availability) onRequest(from types.NodeID, m Request, out *mir.Out) {
	data, ok := a.store[m.ID]
	if !ok {
		a.stats.NotHeld++
		return
	}
	a.send([]types.NodeID{from}, Response{ID: m.ID, Data: data}, out)
}

// onResponse takes a batch only from a replica that was asked for it, so that
// nobody can make this one hash at will.
func (a *Availability) onResponse(from types.NodeID, m Response, out *mir.Out) {
	f := a.fetches[m.ID]
	if f == nil {
		return // late: an earlier answer arrived
	}
	asked := f.signers[:min(f.asked, len(f.signers))]
	if !slices.Contains(asked, from) || types.HashBatch(m.Data) != m.ID.Digest {
		a.stats.BadResponses++
		return
	}
	a.store[m.ID] = m.Data
	a.arrived(m.ID, m.Data, out)
}

// arrived hands delivery a batch that it waits for.
func (a *Availability) arrived(id BatchID, data []byte, out *mir.Out) {
	if a.endFetch(id, out) {
		out.Emit(a.cfg.Delivery, types.BatchData{Batch: id.Digest, Data: data})
	}
}

// endFetch stops asking for a batch, and tells whether it was asked for.
func (a *Availability) endFetch(id BatchID, out *mir.Out) bool {
	f := a.fetches[id]
	if f == nil {
		return false
	}
	delete(a.fetches, id)
	out.Emit(a.cfg.Timer, mir.CancelTimer{ID: mir.TimerID{Owner: a.cfg.Self, N: f.timer}})
	return true
}

// onBatchUsed moves the creator's window. Another batch that was held under the
// same number will never be asked for and goes at once. The batch itself may
// still be on its way, where delivery had the same bytes of another creator.
func (a *Availability) onBatchUsed(e types.BatchUsed, out *mir.Out) {
	id := BatchID{Creator: e.Creator, No: e.No, Digest: e.Batch}
	peer := &a.creators[e.Creator]
	if held, ok := peer.held[e.No]; ok && held.digest != e.Batch {
		delete(a.store, BatchID{Creator: e.Creator, No: e.No, Digest: held.digest})
	}
	delete(peer.held, e.No)
	peer.used.Add(uint64(e.No))
	a.endFetch(id, out)
	a.used = append(a.used, usedBatch{id: id, epoch: e.Epoch})
	a.startQueued(out)
}

// collect frees the batches of epochs that are final and old enough that no
// replica is expected to ask for them.
func (a *Availability) collect(stable types.Epoch) {
	n := 0
	for n < len(a.used) && a.used[n].epoch+types.Epoch(a.cfg.KeepEpochs) <= stable {
		delete(a.store, a.used[n].id)
		n++
	}
	a.used = slices.Delete(a.used, 0, n)
}

// VerifyCert checks a certificate of availability. It has no state and may be
// called from anywhere.
func VerifyCert(m quorum.Membership, c crypto.Crypto, cert types.Certificate) error {
	if !m.Has(cert.Creator) {
		return fmt.Errorf("availability: creator %d is no member", cert.Creator)
	}
	id := BatchID{Creator: cert.Creator, No: cert.No, Digest: cert.Batch}
	if err := crypto.VerifyCert(m, c, AckDomain, signedAck(id), cert.Sigs, m.HasCorrect); err != nil {
		return fmt.Errorf("availability: batch %s of replica %d: %w", cert.Batch, cert.Creator, err)
	}
	return nil
}

// signedAck is what an acknowledgement signs.
func signedAck(id BatchID) []byte {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, 4+8+len(id.Digest)), uint32(id.Creator))
	b = binary.LittleEndian.AppendUint64(b, uint64(id.No))
	return append(b, id.Digest[:]...)
}
