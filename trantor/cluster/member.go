package cluster

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/instrument"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/store"
	"github.com/perfgate/perfgate/trantor/types"
)

// member is one run of a replica with the node that runs it. It is also the
// replica's results module.
type member struct {
	id      types.NodeID
	cfg     Config
	replica *replica.Replica
	node    *mir.Node
	link    link
	store   *store.Store // Nil where nothing is durable.
	crypto  *crypto.Counting
	watch   *instrument.Instrument // Off until somebody asks.

	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when the node has stopped
	err    error         // why, readable once done is closed

	closing sync.Mutex // Held while the store and the link are closed:
	closed  bool       // they are.

	mu        sync.Mutex
	asked     map[types.TxID][]chan error // submitters that wait for an answer, oldest first
	delivered uint64
	stable    types.Epoch
	goals     []goal
}

// goal is somebody who waits for a number of deliveries.
type goal struct {
	delivered uint64
	reached   chan struct{}
}

// inspect runs a function on the node's goroutine, between two events.
type inspect struct{ do func() }

func (inspect) EventName() string { return "cluster.Inspect" }

func newMember(cfg Config, id types.NodeID, wiring wiring) (*member, error) {
	m := &member{id: id, cfg: cfg, done: make(chan struct{}), asked: map[types.TxID][]chan error{}}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	if err := m.wire(wiring); err != nil {
		m.cancel()
		return nil, errors.Join(fmt.Errorf("replica %d: %w", id, err), m.close(false))
	}
	return m, nil
}

func (m *member) wire(wiring wiring) error {
	identity, err := wiring.crypto(m.id)
	if err != nil {
		return err
	}
	m.crypto = crypto.NewCounting(identity)
	records, err := m.openStore()
	if err != nil {
		return err
	}
	m.replica, err = replica.New(replica.Config{
		Node: m.id, Genesis: wiring.genesis(), Crypto: m.crypto, App: m.cfg.NewApp(m.id), Params: *m.cfg.Params,
		Durable: m.store != nil, Records: records, Results: mir.ModuleFunc(m.onEvent),
	})
	if err != nil {
		return err
	}
	m.delivered = deliveredBy(m.replica.Restored())
	ids := m.replica.IDs
	if m.link, err = wiring.link(m.id, ids.Net); err != nil {
		return err
	}
	// The timer starts first, with Boot, which must come before all other
	// input. The store stops after what writes to it.
	modules := []mir.Registration{{ID: ids.Timer, Module: booting{mir.NewRealTimer(ids.Timer), m.replica}}}
	if m.store != nil {
		modules = append(modules, mir.Registration{ID: ids.Store, Module: m.store.Module()})
	}
	modules = append(modules, mir.Registration{ID: ids.Net, Module: m.link})
	m.watch = instrument.New(m.id, m.replica.Names)
	nodeCfg := mir.NodeConfig{ID: m.id, Names: m.replica.Names, Modules: append(modules, m.replica.Modules...), Instrument: m.watch}
	if m.cfg.Interceptor != nil {
		nodeCfg.Interceptor = m.cfg.Interceptor(m.id)
	}
	m.node, err = mir.NewNode(nodeCfg)
	return err
}

// booting is the first active module of a node: before it starts, it puts Boot
// into the input.
type booting struct {
	*mir.RealTimer
	replica *replica.Replica
}

// Start implements mir.Active.
func (b booting) Start(in mir.Injector) error {
	if err := in.Inject(b.replica.Boot()...); err != nil {
		return err
	}
	return b.RealTimer.Start(in)
}

// storeSystem is the system's name in the stores of a cluster.
const storeSystem = "cluster"

func (m *member) openStore() ([]types.Record, error) {
	if m.cfg.Dir == "" {
		return nil, nil
	}
	var err error
	m.store, err = store.Open(store.Options{
		Dir:      filepath.Join(m.cfg.Dir, fmt.Sprintf("node%d", m.id)),
		Identity: store.Identity{System: storeSystem, Replica: m.id},
	})
	if err != nil {
		return nil, err
	}
	return m.store.Records()
}

// run is the replica's goroutine.
func (m *member) run() {
	m.err = m.node.Run(m.ctx)
	close(m.done)
}

// close frees what the replica holds, once, after it has ended.
func (m *member) close(started bool) error {
	if started {
		<-m.done
	}
	m.closing.Lock()
	defer m.closing.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	var errs []error
	if m.link != nil {
		errs = append(errs, m.link.Close())
	}
	if m.store != nil {
		errs = append(errs, m.store.Close())
	}
	return errors.Join(errs...)
}

// ended tells whether nothing of the run is left.
func (m *member) ended() bool {
	m.closing.Lock()
	defer m.closing.Unlock()
	return m.closed
}

// failure is why the replica ended by itself.
func (m *member) failure() error {
	select {
	case <-m.done:
	default:
		return nil // It never ran.
	}
	if m.err != nil {
		return fmt.Errorf("replica %d: %w", m.id, m.err)
	}
	return nil
}

// onEvent is the results module, on the node's goroutine.
func (m *member) onEvent(ev mir.Event, _ *mir.Out) {
	switch e := ev.Body.(type) {
	case types.Delivered:
		m.onDelivered(e)
	case types.SubmitResult:
		m.onResult(e)
	case types.StableCheckpoint:
		m.mu.Lock()
		m.stable = e.Epoch + 1
		m.mu.Unlock()
	case types.Restored:
		m.onRestored(&e)
	case inspect:
		e.do()
	}
}

func (m *member) onDelivered(e types.Delivered) {
	if m.cfg.OnDelivered != nil {
		m.cfg.OnDelivered(m.id, e)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.delivered++
	m.reachGoals()
}

// onRestored: the state leapt over deliveries.
func (m *member) onRestored(state *types.Restored) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.delivered = deliveredBy(state)
	m.reachGoals()
}

// deliveredBy is how many transactions led to a state; nil is genesis.
func deliveredBy(state *types.Restored) (count uint64) {
	if state == nil {
		return 0
	}
	for _, window := range state.Clients {
		count += window.Count()
	}
	return count
}

func (m *member) reachGoals() {
	waiting := m.goals[:0]
	for _, g := range m.goals {
		if m.delivered >= g.delivered {
			close(g.reached)
		} else {
			waiting = append(waiting, g)
		}
	}
	m.goals = waiting
}

// onResult answers the oldest submitter of the transaction, or OnResult where
// nobody waits.
func (m *member) onResult(e types.SubmitResult) {
	m.mu.Lock()
	waiting := m.asked[e.ID]
	if len(waiting) > 1 {
		m.asked[e.ID] = waiting[1:]
	} else {
		delete(m.asked, e.ID)
	}
	m.mu.Unlock()
	switch {
	case len(waiting) > 0:
		waiting[0] <- e.Err
	case m.cfg.OnResult != nil:
		m.cfg.OnResult(m.id, e)
	}
}

func (m *member) submit(ctx context.Context, tx types.Tx) error {
	answer := make(chan error, 1) // so that the node never waits for a submitter
	m.mu.Lock()
	m.asked[tx.TxID] = append(m.asked[tx.TxID], answer)
	m.mu.Unlock()
	if err := m.inject(ctx, m.submission(tx)); err != nil {
		m.withdraw(tx.TxID, answer)
		return err
	}
	// A submitter who gives up here stays in asked: its answer is on the way.
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("replica %d: %w", m.id, ctx.Err())
	case <-m.done:
		return m.stopped()
	}
}

// submission hands a transaction to the mempool. Its size is part of what bounds
// the node's input.
func (m *member) submission(tx types.Tx) mir.Event {
	return mir.Event{To: m.replica.IDs.Mempool, Body: types.Submit{Tx: tx}}.Sized(types.EncodedTxBytes(tx))
}

// withdraw removes a submitter whose transaction never reached the node.
func (m *member) withdraw(id types.TxID, answer chan error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked[id] = slices.DeleteFunc(m.asked[id], func(have chan error) bool { return have == answer })
	if len(m.asked[id]) == 0 {
		delete(m.asked, id)
	}
}

func (m *member) inject(ctx context.Context, events ...mir.Event) error {
	if err := m.node.Inject(ctx, events...); err != nil {
		return fmt.Errorf("replica %d: %w", m.id, err)
	}
	return nil
}

func (m *member) stopped() error { return fmt.Errorf("replica %d: %w", m.id, mir.ErrStopped) }

func (m *member) waitDelivered(ctx context.Context, n uint64) error {
	g := goal{delivered: n, reached: make(chan struct{})}
	m.mu.Lock()
	if m.delivered >= n {
		close(g.reached)
	} else {
		m.goals = append(m.goals, g)
	}
	m.mu.Unlock()
	select {
	case <-g.reached:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("replica %d has delivered %d of %d transactions: %w", m.id, m.counters().Delivered, n, ctx.Err())
	case <-m.done:
		return m.stopped()
	}
}

func (m *member) counters() Counters {
	m.mu.Lock()
	delivered, stable := m.delivered, m.stable
	m.mu.Unlock()
	return Counters{
		Delivered: delivered, Stable: stable,
		Net: m.link.Counters(), Crypto: m.crypto.Counts(), Modules: m.node.Counters(),
	}
}

func (m *member) state(ctx context.Context) (State, error) {
	answer := make(chan State, 1)
	do := func() { answer <- m.readState() }
	// A node that has stopped refuses the event; then nothing runs in it any
	// more and its state can be read from here.
	err := m.inject(ctx, mir.Event{To: m.replica.IDs.Results, Body: inspect{do: do}})
	if err != nil && !errors.Is(err, mir.ErrStopped) {
		return State{}, err
	}
	select {
	case s := <-answer:
		return s, nil
	case <-m.done:
		return m.readState(), nil
	case <-ctx.Done():
		return State{}, fmt.Errorf("replica %d: %w", m.id, ctx.Err())
	}
}

func (m *member) readState() State {
	m.mu.Lock()
	delivered := m.delivered
	m.mu.Unlock()
	return State{Delivered: delivered, AppHash: m.replica.AppHash(), Stats: m.replica.Stats()}
}
