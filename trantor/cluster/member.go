package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// member is one replica with the node that runs it. It is also the replica's
// results module.
type member struct {
	id      types.NodeID
	cfg     Config
	replica *replica.Replica
	node    *mir.Node
	port    *mir.InprocPort
	crypto  *crypto.Counting

	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when the node has stopped
	err    error         // why, readable once done is closed

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

func newMember(cfg Config, id types.NodeID, genesis types.Configuration, port *mir.InprocPort) (*member, error) {
	m := &member{
		id: id, cfg: cfg, port: port,
		crypto: crypto.NewCounting(cfg.NewCrypto(id)),
		done:   make(chan struct{}),
		asked:  map[types.TxID][]chan error{},
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	var err error
	m.replica, err = replica.New(replica.Config{
		Node: id, Genesis: genesis, Crypto: m.crypto, App: cfg.NewApp(id), Params: *cfg.Params,
		Results: mir.ModuleFunc(m.onEvent),
	})
	if err != nil {
		return nil, err
	}
	ids := m.replica.IDs
	nodeCfg := mir.NodeConfig{
		ID: id, Names: m.replica.Names,
		Modules: append([]mir.Registration{
			{ID: ids.Timer, Module: mir.NewRealTimer(ids.Timer)},
			{ID: ids.Net, Module: port},
		}, m.replica.Modules...),
	}
	if cfg.Interceptor != nil {
		nodeCfg.Interceptor = cfg.Interceptor(id)
	}
	m.node, err = mir.NewNode(nodeCfg)
	return m, err
}

// run is the replica's goroutine.
func (m *member) run() {
	// The input takes it, or the context has ended: then Run ends at once too.
	_ = m.inject(m.ctx, m.replica.Boot()...)
	m.err = m.node.Run(m.ctx)
	close(m.done)
}

// failure is why the replica ended by itself.
func (m *member) failure() error {
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
	if err := m.inject(ctx, mir.Event{To: m.replica.IDs.Mempool, Body: types.Submit{Tx: tx}}); err != nil {
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
		Net: m.port.Counters(), Crypto: m.crypto.Counts(), Modules: m.node.Counters(),
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
	stats := m.replica.Stats()
	return State{Delivered: stats.Delivery.Txs, AppHash: m.replica.AppHash(), Stats: stats}
}
