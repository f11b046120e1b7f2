// Package mempool takes transactions from clients and cuts them into batches.
//
// Its one opinion is that overload is refused at the door, with a typed error
// to whoever submitted, and that nothing accepted is ever dropped: what enters
// leaves in a batch, and stays counted until the log has passed it.
//
// It does not look into payloads, and it does not talk to other replicas: a
// transaction that a client submitted to several replicas is in a batch of each
// and is delivered once, by delivery.
//
// Memory: pending transactions are bounded by PendingBytesMax, clients by
// ClientsMax (each a window of WindowSize bits).
package mempool

import (
	"errors"
	"fmt"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// The reasons for which a transaction is refused.
var (
	// ErrDuplicate: this client's transaction with this number is pending here
	// or delivered already.
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
)

// Config of a Mempool.
type Config struct {
	Self         mir.ModuleID
	Availability mir.ModuleID // gets types.NewBatch
	Timer        mir.ModuleID
	Results      mir.ModuleID // gets types.SubmitResult; 0 for none

	BatchTxsMax   int           // transactions in a batch
	BatchBytesMax int           // bytes of an encoded batch
	BatchTimeout  time.Duration // a batch waits no longer than this to be filled
	// CloseWhenIdle closes a batch at once where no earlier batch of this
	// replica is on its way: at low load a transaction waits for nothing.
	CloseWhenIdle bool

	PayloadBytesMax int // bytes of one payload; must fit a batch
	PendingBytesMax int // encoded bytes of all transactions accepted and not yet passed by the log
	WindowSize      int // numbers a client may be ahead of its lowest undelivered one
	ClientsMax      int // clients ever heard of
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	largest := types.BatchHeaderBytes + types.TxHeaderBytes + c.PayloadBytesMax
	switch {
	case c.BatchTxsMax < 1 || c.BatchTxsMax > types.MaxBatchTxs:
		return fmt.Errorf("mempool: BatchTxsMax is %d, want 1 to %d", c.BatchTxsMax, types.MaxBatchTxs)
	case c.BatchBytesMax > types.MaxBatchBytes:
		return fmt.Errorf("mempool: BatchBytesMax is %d, limit %d", c.BatchBytesMax, types.MaxBatchBytes)
	case c.PayloadBytesMax < 0 || largest > c.BatchBytesMax:
		return fmt.Errorf("mempool: a payload of PayloadBytesMax = %d makes a batch of %d bytes, BatchBytesMax is %d",
			c.PayloadBytesMax, largest, c.BatchBytesMax)
	case c.PendingBytesMax < c.BatchBytesMax:
		return fmt.Errorf("mempool: PendingBytesMax is %d, less than a batch of %d", c.PendingBytesMax, c.BatchBytesMax)
	case c.BatchTimeout <= 0:
		return fmt.Errorf("mempool: BatchTimeout is %v, want more than 0", c.BatchTimeout)
	case c.WindowSize < 1 || c.WindowSize > types.MaxWindow:
		return fmt.Errorf("mempool: WindowSize is %d, want 1 to %d", c.WindowSize, types.MaxWindow)
	case c.ClientsMax < 1:
		return fmt.Errorf("mempool: ClientsMax is %d, want 1 or more", c.ClientsMax)
	}
	return nil
}

// batchTimeout fires BatchTimeout after the first transaction of a batch.
type batchTimeout struct{ batch uint64 }

func (batchTimeout) EventName() string { return "mempool.BatchTimeout" }

// pendingTx is a transaction that was accepted and that the log has not passed.
type pendingTx struct {
	bytes int
	batch uint64 // the batch it is in, by the count of batches closed before
}

// Mempool is the module.
type Mempool struct {
	cfg     Config
	clients map[types.ClientID]*types.Window // what is delivered, by client
	pending map[types.TxID]pendingTx

	pendingBytes int // Invariant: the sum of bytes over pending.
	pendingOpen  int // Invariant: how many of pending are in the batch being filled.

	batch      uint64 // number of batches closed so far; names the one being filled
	filling    []types.Tx
	batchBytes int // Invariant: what filling encodes to.

	misaddressed uint64
}

// New makes an empty mempool. It panics where cfg is not valid.
func New(cfg Config) *Mempool {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	return &Mempool{
		cfg:        cfg,
		clients:    map[types.ClientID]*types.Window{},
		pending:    map[types.TxID]pendingTx{},
		batchBytes: types.BatchHeaderBytes,
	}
}

// Misaddressed counts messages from peers: none has business here.
func (m *Mempool) Misaddressed() uint64 { return m.misaddressed }

// Apply implements mir.Module.
func (m *Mempool) Apply(ev mir.Event, out *mir.Out) {
	switch e := ev.Body.(type) {
	case types.Submit:
		m.onSubmit(e.Tx, out)
	case types.Flush:
		m.closeBatch(out)
	case batchTimeout:
		if e.batch == m.batch {
			m.closeBatch(out)
		}
	case types.Progress:
		m.onProgress(e, out)
	case types.Boot, types.EpochConfig, types.EpochBegun, types.Restored, types.BatchVoided:
	case mir.Received:
		m.misaddressed++
	default:
		panic(fmt.Sprintf("mempool: invariant broken: got %s", ev.Body.EventName()))
	}
}

func (m *Mempool) onSubmit(tx types.Tx, out *mir.Out) {
	err := m.admit(tx)
	if m.cfg.Results != 0 {
		out.Emit(m.cfg.Results, types.SubmitResult{ID: tx.TxID, Err: err})
	}
	if err != nil {
		return
	}
	m.add(tx, out)
	full := len(m.filling) == m.cfg.BatchTxsMax
	if full || m.idle() {
		m.closeBatch(out)
	}
}

// admit says why tx is refused, or registers its client.
func (m *Mempool) admit(tx types.Tx) error {
	if len(tx.Payload) > m.cfg.PayloadBytesMax {
		return ErrTooLarge
	}
	window := m.clients[tx.Client]
	if window == nil && len(m.clients) >= m.cfg.ClientsMax {
		return ErrTooManyClients
	}
	if window == nil {
		window = types.NewWindow(m.cfg.WindowSize)
	}
	if window.Has(uint64(tx.No)) {
		return ErrDelivered
	}
	if _, ok := m.pending[tx.TxID]; ok {
		return ErrDuplicate
	}
	if !window.InReach(uint64(tx.No)) {
		return ErrWindowFull
	}
	if m.pendingBytes+types.EncodedTxBytes(tx) > m.cfg.PendingBytesMax {
		return ErrFull
	}
	m.clients[tx.Client] = window
	return nil
}

// add puts an admitted transaction into the batch being filled, after closing
// that batch where the transaction does not fit any more.
func (m *Mempool) add(tx types.Tx, out *mir.Out) {
	bytes := types.EncodedTxBytes(tx)
	if m.batchBytes+bytes > m.cfg.BatchBytesMax {
		m.closeBatch(out)
	}
	if len(m.filling) == 0 {
		out.Emit(m.cfg.Timer, mir.SetTimer{
			ID:    mir.TimerID{Owner: m.cfg.Self},
			After: m.cfg.BatchTimeout,
			Fire:  mir.Event{To: m.cfg.Self, Body: batchTimeout{batch: m.batch}},
		})
	}
	m.filling = append(m.filling, tx)
	m.batchBytes += bytes
	m.pending[tx.TxID] = pendingTx{bytes: bytes, batch: m.batch}
	m.pendingBytes += bytes
	m.pendingOpen++
}

// idle tells whether nothing of this replica is on its way and waiting for more
// transactions is not wanted then.
func (m *Mempool) idle() bool { return m.cfg.CloseWhenIdle && len(m.pending) == m.pendingOpen }

func (m *Mempool) closeBatch(out *mir.Out) {
	if len(m.filling) == 0 {
		return
	}
	out.Emit(m.cfg.Timer, mir.CancelTimer{ID: mir.TimerID{Owner: m.cfg.Self}})
	out.Emit(m.cfg.Availability, types.NewBatch{Data: types.EncodeBatch(m.filling)})
	m.batch++
	m.pendingOpen = 0
	clear(m.filling)
	m.filling = m.filling[:0]
	m.batchBytes = types.BatchHeaderBytes
}

func (m *Mempool) onProgress(p types.Progress, out *mir.Out) {
	for _, id := range p.IDs {
		m.client(id.Client).Add(uint64(id.No))
		m.forget(id)
	}
	for _, id := range p.Dropped {
		m.forget(id)
	}
	if m.idle() {
		m.closeBatch(out)
	}
}

// client is the window of a client that delivery knows. Delivery bounds how
// many there are, by the same ClientsMax.
func (m *Mempool) client(id types.ClientID) *types.Window {
	window := m.clients[id]
	if window == nil {
		window = types.NewWindow(m.cfg.WindowSize)
		m.clients[id] = window
	}
	return window
}

// forget frees what a pending transaction holds.
func (m *Mempool) forget(id types.TxID) {
	p, ok := m.pending[id]
	if !ok {
		return
	}
	delete(m.pending, id)
	m.pendingBytes -= p.bytes
	if p.batch == m.batch {
		m.pendingOpen--
	}
}
