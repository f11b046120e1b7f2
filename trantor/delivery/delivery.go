// Package delivery turns the ordered log into executed transactions.
//
// It takes log positions in order, gets the batches behind their certificates,
// and applies the transactions to the application strictly in log order. Its
// one opinion is that everything it drops, it drops by a rule over the log
// alone, so that every replica drops the same:
//
//   - a certificate whose creator and number came by before, or whose number is
//     out of the creator's window, without looking at its batch;
//   - a batch that does not decode, as a whole;
//   - a transaction whose client and number were delivered before, whose number
//     is out of the client's window, or whose client is one too many;
//   - a transaction of types.ConfigClient that CheckVote refuses.
//
// What is dropped uses no number up.
// The configuration is part of the replicated state, beside the application. At
// the end of each epoch e delivery says who the members of epoch e+ConfigDelay
// are. Transactions of types.ConfigClient are votes of members for a change;
// those of a quorum, by the weights of the epoch in which the vote is delivered,
// make it. They share one sequence of numbers, which whoever has a replica's key
// can use up ahead of others, by new votes or by repeating signed ones, but which
// has no end: a vote that comes too late goes under a higher number.
//
// A client has its place among ClientsMax, for good, from its first transaction on
// that is delivered or waits for its turn; package mempool says what follows from
// that.
//
// It does not fetch and does not store batches (availability does), and it does
// not decide when a checkpoint is stable.
//
// Memory: SlotsQueuedMax log positions, the batches of SlotsFetchingMax of
// them, a window for each of ClientsMax clients, KeptBytesMax of transactions
// that wait for their turn, at most openVotesMax votes of each replica, and the
// application.
package delivery

import (
	"fmt"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// Config of a Delivery. The windows and ClientsMax are part of the replicated
// state: every replica has the same.
type Config struct {
	Self         mir.ModuleID
	Mempool      mir.ModuleID // gets types.Progress
	Availability mir.ModuleID // gets types.NeedBatch and types.BatchUsed
	Checkpoint   mir.ModuleID // gets types.Snapshot
	Transfer     mir.ModuleID // gets types.Executed where it asks
	Results      mir.ModuleID // gets types.Delivered; 0 for none
	// Configs get types.EpochConfig and types.Restored, in this order.
	Configs []mir.ModuleID

	App    app.Application
	Crypto crypto.Crypto // verifies votes, and learns the keys of new members

	Genesis     types.Configuration // of the epochs below ConfigDelay
	ConfigDelay int                 // epochs from a change to the first that has it
	MembersMax  int                 // members of any epoch
	// CheckMembers says why the system could not run with these members, as part
	// of the replicated state. Nil for nothing.
	CheckMembers func(quorum.Membership) error

	ClientWindow int // as the mempool's WindowSize
	BatchWindow  int // as availability's WindowSize
	ClientsMax   int // clients, for good, from their first delivered transaction on

	// ClientOrder delivers the transactions of each client strictly by number.
	// Those that come too early wait, of all clients KeptBytesMax; beyond that
	// they are dropped. Both are part of the replicated state too.
	ClientOrder  bool
	KeptBytesMax int

	SlotsFetchingMax int // positions whose batches are asked for ahead of need
	SlotsQueuedMax   int // positions waiting; with more the replica has fallen behind
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	switch {
	case c.App == nil:
		return fmt.Errorf("delivery: App is missing")
	case c.Crypto == nil:
		return fmt.Errorf("delivery: Crypto is missing")
	case c.ConfigDelay < 1 || c.ConfigDelay > types.ConfigChangesMax:
		return fmt.Errorf("delivery: ConfigDelay is %d, want 1 to %d", c.ConfigDelay, types.ConfigChangesMax)
	case c.MembersMax < 1 || c.MembersMax > types.MaxReplicas:
		return fmt.Errorf("delivery: MembersMax is %d, want 1 to %d", c.MembersMax, types.MaxReplicas)
	case c.ClientWindow < 1 || c.ClientWindow > types.MaxWindow:
		return fmt.Errorf("delivery: ClientWindow is %d, want 1 to %d", c.ClientWindow, types.MaxWindow)
	case c.BatchWindow < 1 || c.BatchWindow > types.MaxWindow:
		return fmt.Errorf("delivery: BatchWindow is %d, want 1 to %d", c.BatchWindow, types.MaxWindow)
	case c.ClientsMax < 1:
		return fmt.Errorf("delivery: ClientsMax is %d, want 1 or more", c.ClientsMax)
	case c.KeptBytesMax < 0:
		return fmt.Errorf("delivery: KeptBytesMax is %d, want 0 or more", c.KeptBytesMax)
	case c.SlotsFetchingMax < 1:
		return fmt.Errorf("delivery: SlotsFetchingMax is %d, want 1 or more", c.SlotsFetchingMax)
	case c.SlotsQueuedMax < c.SlotsFetchingMax:
		return fmt.Errorf("delivery: SlotsQueuedMax is %d, less than SlotsFetchingMax %d", c.SlotsQueuedMax, c.SlotsFetchingMax)
	}
	members, err := c.Genesis.Quorums()
	if err == nil && members.N() > c.MembersMax {
		err = fmt.Errorf("%d members, limit MembersMax %d", members.N(), c.MembersMax)
	}
	if err != nil {
		return fmt.Errorf("delivery: Genesis: %w", err)
	}
	return nil
}

// Stats counts what was delivered and what was dropped, by rule. All but the
// last four are the same on every replica that delivered the same log.
type Stats struct {
	Txs              uint64 // transactions delivered
	Batches          uint64 // batches delivered
	SkippedCerts     uint64 // certificates that came by before or out of window
	MalformedBatches uint64 // certified batches that do not decode
	DuplicateTxs     uint64
	OutOfWindowTxs   uint64
	Clients          int    // that have a place among ClientsMax
	StrangerTxs      uint64 // transactions of a client beyond ClientsMax
	BadVotes         uint64 // transactions of types.ConfigClient that are no votes
	KeptFullTxs      uint64 // transactions that came too early, beyond KeptBytesMax
	Reconfigs        uint64 // changes of the configuration
	BadKeys          uint64 // keys of members that crypto refuses, each time they are learnt
	SlotsMissed      uint64 // positions ignored after this replica fell behind
	Installed        uint64 // snapshots of other replicas
	StaleSlots       uint64 // positions that a snapshot had overtaken
	Misaddressed     uint64 // messages from peers: none has business here
}

// item is a log position, or the end of an epoch after it.
type item struct {
	seq     types.SeqNr
	epoch   types.Epoch
	batches []*batch
	// ended is nil for a position. For the end of an epoch it is the part of
	// the snapshot that is a function of the log alone, taken when the end came
	// by: positions of the next epoch may be queued behind it already.
	ended *logState
}

// batch is one certificate's batch, on its way or here.
type batch struct {
	cert types.Certificate
	here bool
	data []byte
}

// Delivery is the module.
type Delivery struct {
	cfg Config

	// The state of the log, as far as it came by.
	next     types.SeqNr     // position that ordering sends next
	epoch    types.Epoch     // of next
	creators []*types.Window // batch numbers that came by, by replica

	// The state after execution. The application's is a part of it.
	executing types.Epoch // the epochs below are executed
	clients   map[types.ClientID]*types.Window
	schedule  *types.Schedule     // of executing and the following epochs
	coming    types.Configuration // with the changes that executing made so far
	changes   int                 // in coming, of this epoch
	voters    map[types.NodeID]*voter
	kept      keptBack
	progress  uint64

	queue      []*item                   // Invariant: at most SlotsQueuedMax.
	requested  int                       // Invariant: the batches of queue[:requested] were asked for.
	waiting    map[types.Digest][]*batch // asked for and not here
	proceeding bool                      // Invariant: set while a proceed is on its way.
	behind     bool                      // the queue overflowed: positions were missed
	missed     types.SeqNr               // with behind: the positions below came by, and will not be there once the gap is closed

	stats Stats
}

// New makes a Delivery before the first position. It panics where cfg is not valid.
func New(cfg Config) *Delivery {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	schedule, err := types.NewSchedule(0, cfg.ConfigDelay, cfg.Genesis)
	if err != nil {
		panic(err) // Validate has seen that there is none.
	}
	d := &Delivery{
		cfg:      cfg,
		clients:  map[types.ClientID]*types.Window{},
		schedule: schedule,
		coming:   cfg.Genesis,
		voters:   map[types.NodeID]*voter{},
		kept:     newKeptBack(),
		waiting:  map[types.Digest][]*batch{},
	}
	d.learnKeys(cfg.Genesis)
	d.growCreators()
	return d
}

// Stats is what happened so far.
func (d *Delivery) Stats() Stats {
	s := d.stats
	s.Clients = d.ordinaryClients()
	return s
}

// Behind tells whether positions were missed because too many were waiting.
// Only a later snapshot helps then.
func (d *Delivery) Behind() bool { return d.behind }

// Apply implements mir.Module.
func (d *Delivery) Apply(ev mir.Event, out *mir.Out) {
	switch e := ev.Body.(type) {
	case types.Ordered:
		d.onOrdered(e, out)
	case types.EpochEnd:
		d.onEpochEnd(e, out)
	case types.BatchData:
		d.onBatchData(e, out)
	case proceed:
		d.proceeding = false
		d.advance(out)
	case types.InstallSnapshot:
		d.onInstall(e, out)
	case types.AskExecuted:
		out.Emit(d.cfg.Transfer, types.Executed{Epoch: d.executing, Progress: d.progress, Behind: d.behind})
	case types.Boot:
	case mir.Received:
		d.stats.Misaddressed++
	default:
		panic(fmt.Sprintf("delivery: invariant broken: got %s", ev.Body.EventName()))
	}
}

func (d *Delivery) onOrdered(e types.Ordered, out *mir.Out) {
	if e.Epoch < d.epoch && e.Seq < d.next {
		d.stats.StaleSlots++
		return
	}
	if !d.room() {
		d.missed = e.Seq + 1
		return
	}
	if e.Seq != d.next || e.Epoch != d.epoch {
		panic(fmt.Sprintf("delivery: invariant broken: ordered position %d of epoch %d, want %d of %d", e.Seq, e.Epoch, d.next, d.epoch))
	}
	d.next++
	it := &item{seq: e.Seq, epoch: e.Epoch}
	for _, cert := range e.Proposal.Certs {
		if d.take(cert) {
			it.batches = append(it.batches, &batch{cert: cert})
		}
	}
	d.enqueue(it, out)
}

func (d *Delivery) onEpochEnd(e types.EpochEnd, out *mir.Out) {
	if e.Epoch < d.epoch {
		d.stats.StaleSlots++
		return
	}
	if !d.room() {
		d.missed = max(d.missed, d.next) // Those that are queued go with the gap.
		return
	}
	if e.Epoch != d.epoch {
		panic(fmt.Sprintf("delivery: invariant broken: end of epoch %d, want that of %d", e.Epoch, d.epoch))
	}
	ended := d.logState(e.Policy)
	d.epoch++
	d.growCreators()
	d.enqueue(&item{epoch: e.Epoch, ended: ended}, out)
}

// growCreators makes room for the creators of the current epoch. Ordering begins
// no epoch whose configuration is not known; where it did, the windows follow
// with the configuration.
func (d *Delivery) growCreators() {
	config, ok := d.schedule.At(d.epoch)
	for ok && len(d.creators) < config.Members.Slots() {
		d.creators = append(d.creators, types.NewWindow(d.cfg.BatchWindow))
	}
}

// room tells whether another item may be queued. The first that may not makes
// the replica fall behind for good: what follows a gap cannot be delivered.
func (d *Delivery) room() bool {
	if len(d.queue) >= d.cfg.SlotsQueuedMax {
		d.behind = true
	}
	if d.behind {
		d.stats.SlotsMissed++
	}
	return !d.behind
}

// take decides, in log order, whether a certificate's batch will be delivered.
// It must not wait for the batch: the batch of a certificate that is skipped
// may exist nowhere any more.
func (d *Delivery) take(cert types.Certificate) bool {
	no := uint64(cert.No)
	if int64(cert.Creator) >= int64(len(d.creators)) || d.creators[cert.Creator].Has(no) ||
		!d.creators[cert.Creator].InReach(no) {
		d.stats.SkippedCerts++
		return false
	}
	return d.creators[cert.Creator].Add(no)
}

func (d *Delivery) enqueue(it *item, out *mir.Out) {
	d.queue = append(d.queue, it)
	d.advance(out)
}

func (d *Delivery) onBatchData(e types.BatchData, out *mir.Out) {
	for _, b := range d.waiting[e.Batch] {
		b.here, b.data = true, e.Data
	}
	delete(d.waiting, e.Batch)
	d.advance(out)
}

// proceed is the module's event to itself between two batches.
type proceed struct{}

func (proceed) EventName() string { return "delivery.Proceed" }

// advance asks for the batches of the first positions, and delivers one batch
// if the head of the queue is complete. With more to do it addresses proceed to
// itself, which comes after all that this batch emits: what one event emits is
// then bounded by one batch, however many positions have waited for the head.
func (d *Delivery) advance(out *mir.Out) {
	for {
		d.requestAhead(out)
		if d.proceeding || len(d.queue) == 0 || !d.queue[0].complete() {
			return
		}
		head := d.queue[0]
		if len(head.batches) > 0 {
			d.deliverBatch(head, head.batches[0], out)
			head.batches = head.batches[1:]
			d.proceeding = true
			out.Emit(d.cfg.Self, proceed{})
			return
		}
		if head.ended != nil {
			d.endEpoch(head, out)
		}
		d.progress++
		d.queue[0] = nil
		d.queue = d.queue[1:]
		d.requested--
	}
}

func (d *Delivery) requestAhead(out *mir.Out) {
	for d.requested < min(len(d.queue), d.cfg.SlotsFetchingMax) {
		for _, b := range d.queue[d.requested].batches {
			if b.here {
				continue // It was asked for before a snapshot overtook what came first.
			}
			if b.void() {
				b.here = true
				continue
			}
			d.waiting[b.cert.Batch] = append(d.waiting[b.cert.Batch], b)
			out.Emit(d.cfg.Availability, types.NeedBatch{Cert: b.cert})
		}
		d.requested++
	}
}

// void tells whether a certificate only uses up its number.
func (b *batch) void() bool { return b.cert.Batch == types.VoidDigest }

func (it *item) complete() bool {
	for _, b := range it.batches {
		if !b.here {
			return false
		}
	}
	return true
}

// deliverBatch executes a batch and lets availability know.
func (d *Delivery) deliverBatch(it *item, b *batch, out *mir.Out) {
	if !b.void() {
		d.execute(it, b.data, out)
	}
	d.progress++
	out.Emit(d.cfg.Availability, types.BatchUsed{
		Batch: b.cert.Batch, Epoch: it.epoch, Creator: b.cert.Creator, No: b.cert.No,
	})
}

func (d *Delivery) execute(it *item, data []byte, out *mir.Out) {
	txs, err := types.DecodeBatch(data)
	if err != nil {
		d.stats.MalformedBatches++
		return
	}
	d.stats.Batches++
	var progress types.Progress
	for _, tx := range txs {
		window := d.admit(tx)
		if window == nil {
			progress.Dropped = append(progress.Dropped, tx.TxID)
			continue
		}
		progress.IDs = append(progress.IDs, tx.TxID)
		d.accept(it.seq, tx, window, out)
	}
	out.Emit(d.cfg.Mempool, progress)
}

func (d *Delivery) deliver(seq types.SeqNr, tx types.Tx, out *mir.Out) {
	d.stats.Txs++
	result := d.apply(tx)
	if d.cfg.Results != 0 {
		out.Emit(d.cfg.Results, types.Delivered{Seq: seq, Tx: tx, Result: result})
	}
}

// apply executes a transaction, which is the application's unless it is a vote.
func (d *Delivery) apply(tx types.Tx) []byte {
	if tx.Client == types.ConfigClient {
		return d.onVote(tx.Payload).Encode()
	}
	return d.cfg.App.Apply(tx)
}

// admit decides whether a transaction is delivered, now or when its turn comes.
// It gives the client's window then, and nil otherwise.
func (d *Delivery) admit(tx types.Tx) *types.Window {
	id := tx.TxID
	window, no := d.clients[id.Client], uint64(id.No)
	if id.Client == types.ConfigClient && (window == nil || !window.Has(no)) &&
		CheckVote(d.cfg.Crypto, tx.Payload, len(d.coming.Members)) != nil {
		d.stats.BadVotes++
		return nil
	}
	if window == nil {
		if id.Client != types.ConfigClient && d.ordinaryClients() >= d.cfg.ClientsMax {
			d.stats.StrangerTxs++
			return nil
		}
		if no >= uint64(d.cfg.ClientWindow) {
			d.stats.OutOfWindowTxs++
			return nil
		}
		window = types.NewWindow(d.cfg.ClientWindow)
	}
	switch {
	case window.Has(no):
		d.stats.DuplicateTxs++
		return nil
	case !window.InReach(no):
		d.stats.OutOfWindowTxs++
		return nil
	case d.early(id, window) && d.kept.bytes+keptBytesMin+len(tx.Payload) > d.cfg.KeptBytesMax:
		d.stats.KeptFullTxs++
		return nil
	}
	d.clients[id.Client] = window
	return window
}

// ordinaryClients is how many clients beside types.ConfigClient are known.
func (d *Delivery) ordinaryClients() int {
	if d.clients[types.ConfigClient] != nil {
		return len(d.clients) - 1
	}
	return len(d.clients)
}
