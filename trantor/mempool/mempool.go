package mempool

import (
	"errors"
	"fmt"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// The reasons for which a transaction is refused.
var (
	// ErrDuplicate: a client submitted this client's transaction with this number
	// here, and it is pending or delivered already.
	ErrDuplicate = errors.New("mempool: duplicate transaction")
	// ErrDelivered is the ErrDuplicate of a transaction that is delivered already,
	// so that nothing more will be heard of it.
	ErrDelivered = fmt.Errorf("%w: delivered already", ErrDuplicate)
	// ErrWindowFull: the number is too far above the client's lowest
	// undelivered number. Retry when that one is delivered.
	ErrWindowFull = errors.New("mempool: client window full")
	// ErrFull: too many bytes are pending. Retry later.
	ErrFull = errors.New("mempool: full")
	// ErrTooLarge: the payload will never be accepted.
	ErrTooLarge = errors.New("mempool: payload too large")
	// ErrTooManyClients: no room for another client.
	ErrTooManyClients = errors.New("mempool: too many clients")
	// ErrInvalid: a transaction of types.ConfigClient that is no vote of a replica.
	// It will never be accepted, unless the voter is yet to become known here.
	ErrInvalid = errors.New("mempool: not a vote of a replica")
)

// ReforwardMax batches of BatchBytesMax is what one leader is sent again at a
// tick, or when an epoch begins: 4 * 512 KiB = 2 MiB.
const ReforwardMax = 4

// Config of a Mempool.
type Config struct {
	Self         mir.ModuleID
	Net          mir.ModuleID
	Timer        mir.ModuleID
	Availability mir.ModuleID // gets types.NewBatch
	Ordering     mir.ModuleID // gets types.WantEpoch
	Results      mir.ModuleID // gets types.SubmitResult; 0 for none

	Node        types.NodeID
	Members     quorum.Membership // of the epochs below ConfigDelay
	ConfigDelay int

	BatchTxsMax   int           // transactions in a batch
	BatchBytesMax int           // bytes of an encoded batch
	BatchTimeout  time.Duration // a batch waits no longer than this to be filled
	// CloseWhenIdle closes a batch at once where no earlier batch of this
	// replica is on its way: at low load a transaction waits for nothing. The
	// same holds for what is forwarded to one leader.
	CloseWhenIdle bool

	PayloadBytesMax   int // bytes of one payload; must fit a batch
	PendingBytesMax   int // encoded bytes of all transactions accepted and not yet passed by the log
	ForwardedBytesMax int // of these, what one peer forwarded
	WindowSize        int // numbers a client may be ahead of its lowest undelivered one
	ClientsMax        int // clients that anything is ever delivered of

	// CheckVote says why a payload of types.ConfigClient is no vote of one of that
	// many replicas. Nil refuses all.
	CheckVote func(payload []byte, replicas int) error

	Buckets    int           // in all; they are shared out among the leaders of an epoch; 0 for none
	RetryAfter time.Duration // then what was forwarded and is not delivered is sent again
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	largest := types.BatchHeaderBytes + types.TxHeaderBytes + c.PayloadBytesMax
	switch {
	case c.Members.N() == 0:
		return fmt.Errorf("mempool: Members is empty")
	case c.ConfigDelay < 1:
		return fmt.Errorf("mempool: ConfigDelay is %d, want 1 or more", c.ConfigDelay)
	case c.BatchTxsMax < 1 || c.BatchTxsMax > types.MaxBatchTxs:
		return fmt.Errorf("mempool: BatchTxsMax is %d, want 1 to %d", c.BatchTxsMax, types.MaxBatchTxs)
	case c.BatchBytesMax > types.MaxBatchBytes:
		return fmt.Errorf("mempool: BatchBytesMax is %d, limit %d", c.BatchBytesMax, types.MaxBatchBytes)
	case c.PayloadBytesMax < 0 || largest > c.BatchBytesMax:
		return fmt.Errorf("mempool: a payload of PayloadBytesMax = %d makes a batch of %d bytes, BatchBytesMax is %d",
			c.PayloadBytesMax, largest, c.BatchBytesMax)
	case c.PendingBytesMax < c.BatchBytesMax:
		return fmt.Errorf("mempool: PendingBytesMax is %d, less than a batch of %d", c.PendingBytesMax, c.BatchBytesMax)
	case c.ForwardedBytesMax < c.PayloadBytesMax+types.TxHeaderBytes:
		return fmt.Errorf("mempool: ForwardedBytesMax is %d, less than a transaction of %d",
			c.ForwardedBytesMax, c.PayloadBytesMax+types.TxHeaderBytes)
	case c.BatchTimeout <= 0:
		return fmt.Errorf("mempool: BatchTimeout is %v, want more than 0", c.BatchTimeout)
	case c.WindowSize < 1 || c.WindowSize > types.MaxWindow:
		return fmt.Errorf("mempool: WindowSize is %d, want 1 to %d", c.WindowSize, types.MaxWindow)
	case c.ClientsMax < 1:
		return fmt.Errorf("mempool: ClientsMax is %d, want 1 or more", c.ClientsMax)
	case c.Buckets < 0:
		return fmt.Errorf("mempool: Buckets is %d, want 0 or more", c.Buckets)
	case c.RetryAfter <= 0:
		return fmt.Errorf("mempool: RetryAfter is %v, want more than 0", c.RetryAfter)
	}
	return nil
}

// Stats counts what became of what peers sent, and what had to be done twice.
type Stats struct {
	Misaddressed uint64 // messages of strangers, or of other modules
	Malformed    uint64 // forwarded messages that do not decode
	Refused      uint64 // forwarded transactions that are pending, delivered, out of bounds or no votes here
	ShareFull    uint64 // forwarded transactions beyond ForwardedBytesMax
	Forwarded    uint64 // transactions sent to the leader of their bucket
	Reforwarded  uint64 // of these, again
	PutBack      uint64 // transactions of own batches that found no certificate
	Strangers    uint64 // submitted transactions of clients beyond ClientsMax

	Clients   int // that something is delivered of
	Newcomers int // others that have something pending here
}

// Mempool is the module.
type Mempool struct {
	cfg     Config
	clients map[types.ClientID]*types.Window // what is delivered, by client that something is delivered of
	// newcomers are the other clients that have submitted something here which is
	// pending, and how much. It never holds types.ConfigClient.
	newcomers map[types.ClientID]int
	pending   map[types.TxID]*entry

	pendingBytes int   // Invariant: the sum of bytes over pending.
	peerBytes    []int // Invariant: the part of it that a replica forwarded.
	// doubted, by replica: it forwarded what is no vote as far as this one knows.
	// Before a later configuration is known none of its votes is looked at, since
	// each would cost the verification of a signature.
	doubted []bool

	schedule *types.Schedule
	members  quorum.Membership // of the current epoch
	epoch    types.Epoch
	leaders  []types.NodeID // of the current epoch; none before the first begins
	wanted   bool           // types.WantEpoch was sent in this epoch

	filling load // The batch being filled.
	batched int  // Invariant: how many of pending are in closed batches.

	leaving []load // By leader: the message being filled.
	sent    []int  // By leader: how many of pending were forwarded to it.
	away    []*entry
	here    int // Invariant: entries of away that are still away.

	waitingForward bool // Invariant: set while the timer for messages is.
	ticking        bool // Invariant: set while that for the tick is.
	scratch        []types.Tx
	stats          Stats
}

// New makes an empty mempool. It panics where cfg is not valid.
func New(cfg Config) *Mempool {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	m := &Mempool{
		cfg:       cfg,
		clients:   map[types.ClientID]*types.Window{},
		newcomers: map[types.ClientID]int{},
		pending:   map[types.TxID]*entry{},
	}
	genesis := make([]types.EpochConfig, cfg.ConfigDelay)
	for i := range genesis {
		genesis[i] = types.EpochConfig{Epoch: types.Epoch(i), Members: cfg.Members}
	}
	m.schedule = types.ScheduleOf(genesis)
	m.setEpoch(0)
	return m
}

// Recover goes on from a state after a restart. A mempool has no records:
// clients submit again what they do not see delivered.
func (m *Mempool) Recover(records []types.Record, from *types.Restored) error {
	if len(records) > 0 {
		return fmt.Errorf("mempool: %d records, want none", len(records))
	}
	if from != nil {
		m.restore(*from)
	}
	return nil
}

// Misaddressed counts messages that have no business here.
func (m *Mempool) Misaddressed() uint64 { return m.stats.Misaddressed }

// Stats may be read between events.
func (m *Mempool) Stats() Stats {
	s := m.stats
	s.Clients, s.Newcomers = m.ordinaryClients(), len(m.newcomers)
	return s
}

// Apply implements mir.Module.
func (m *Mempool) Apply(ev mir.Event, out *mir.Out) {
	switch e := ev.Body.(type) {
	case types.Submit:
		m.onSubmit(e.Tx, out)
	case types.Flush:
		m.closeBatch(out)
		m.flushAll(out)
	case batchTimeout:
		if e.batch == m.filling.closed {
			m.closeBatch(out)
		}
	case forwardTimeout:
		m.waitingForward = false
		m.flushAll(out)
	case tick:
		m.onTick(out)
	case types.Progress:
		m.onProgress(e, out)
	case types.BatchVoided:
		m.onBatchVoided(e, out)
	case types.EpochConfig:
		m.schedule.Add(e)
		m.grow(e.Members.Slots())
		clear(m.doubted)
	case types.EpochBegun:
		m.onEpochBegun(e, out)
	case types.Restored:
		m.restore(e)
		m.settle(out)
	case types.Boot:
	case mir.Received:
		m.onReceived(e, out)
	default:
		panic(fmt.Sprintf("mempool: invariant broken: got %s", ev.Body.EventName()))
	}
	m.setTick(out)
}

func (m *Mempool) onSubmit(tx types.Tx, out *mir.Out) {
	err := m.admit(tx)
	if m.cfg.Results != 0 {
		out.Emit(m.cfg.Results, types.SubmitResult{ID: tx.TxID, Err: err})
	}
	if err != nil {
		return
	}
	if e := m.pending[tx.TxID]; e != nil { // A peer forwarded it before.
		m.peerBytes[e.from] -= e.bytes
		e.submitted = true
		m.meet(tx.Client)
		return
	}
	e := &entry{tx: tx, bytes: types.EncodedTxBytes(tx), submitted: true}
	m.add(e)
	m.route(e, out)
	m.settleAt(e, out)
}

// admit says why tx, which a client submitted, is refused.
func (m *Mempool) admit(tx types.Tx) error {
	if len(tx.Payload) > m.cfg.PayloadBytesMax {
		return ErrTooLarge
	}
	if m.strange(tx.Client) {
		m.stats.Strangers++
		return ErrTooManyClients
	}
	used, inReach := m.place(tx.TxID)
	if used {
		return ErrDelivered
	}
	e := m.pending[tx.TxID]
	if e != nil && e.submitted {
		return ErrDuplicate
	}
	if !inReach {
		return ErrWindowFull
	}
	if e == nil && m.pendingBytes+types.EncodedTxBytes(tx) > m.cfg.PendingBytesMax {
		return ErrFull
	}
	if !m.valid(tx) {
		return ErrInvalid
	}
	return nil
}

// place tells whether a number is delivered already, and whether it may be. The
// window of a client that nothing is delivered of is empty.
func (m *Mempool) place(id types.TxID) (used, inReach bool) {
	window, no := m.clients[id.Client], uint64(id.No)
	if window == nil {
		return false, no < uint64(m.cfg.WindowSize)
	}
	return window.Has(no), window.InReach(no)
}

// valid tells whether a transaction is what its client may send. Only that of
// types.ConfigClient, which anybody may name, is restricted.
func (m *Mempool) valid(tx types.Tx) bool {
	return tx.Client != types.ConfigClient ||
		m.cfg.CheckVote != nil && m.cfg.CheckVote(tx.Payload, m.schedule.Last().Members.Slots()) == nil
}

func (m *Mempool) onProgress(p types.Progress, out *mir.Out) {
	for _, id := range p.IDs {
		m.client(id.Client).Add(uint64(id.No))
		m.forget(id)
	}
	for _, id := range p.Dropped {
		m.forget(id)
	}
	m.settle(out)
}

// client is the window of a client that delivery knows. Delivery bounds how
// many there are, by the same ClientsMax.
func (m *Mempool) client(id types.ClientID) *types.Window {
	window := m.clients[id]
	if window == nil {
		window = types.NewWindow(m.cfg.WindowSize)
		m.clients[id] = window
		delete(m.newcomers, id)
	}
	return window
}

// restore replaces what is known of clients, and forgets what is delivered.
func (m *Mempool) restore(from types.Restored) {
	m.clients = make(map[types.ClientID]*types.Window, len(from.Clients))
	for id, window := range from.Clients { // maprange: each goes to its own place.
		m.clients[id] = window.Clone()
	}
	for id := range m.pending { // maprange: forgetting is sums and marks, in any order.
		if window := m.clients[id.Client]; window != nil && window.Has(uint64(id.No)) {
			m.forget(id)
		}
	}
	m.meetAgain()
	if len(from.Configs) > 0 {
		m.schedule = types.ScheduleOf(from.Configs)
		m.grow(m.schedule.Last().Members.Slots())
		clear(m.doubted)
	}
}

// onBatchVoided routes the transactions of an own batch again. After a restart
// they may be unknown here.
func (m *Mempool) onBatchVoided(b types.BatchVoided, out *mir.Out) {
	txs, err := types.DecodeBatch(b.Data)
	if err != nil {
		panic(fmt.Sprintf("mempool: invariant broken: an own batch does not decode: %v", err))
	}
	for _, tx := range txs {
		e := m.pending[tx.TxID]
		switch {
		case e == nil && m.admit(tx) == nil:
			e = &entry{tx: tx, bytes: types.EncodedTxBytes(tx), submitted: true}
			m.add(e)
		case e != nil && e.state == inBatch:
			e.tx.Payload = tx.Payload
			m.batched--
		default:
			continue
		}
		m.stats.PutBack++
		m.route(e, out)
	}
	m.settle(out)
}
