// Package cluster runs n replicas in one process, in real time, over an
// in-process network: for tests, for the benchmark suite and for the command.
//
// Its one opinion is that a caller sees what a client and an operator would
// see: transactions go in and get an answer, deliveries come out, a replica can
// be killed, and counters can be read at any time. It simulates nothing (see
// mir/sim for that) and it measures nothing but counts.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// Config of a Cluster. Only Weights is required.
type Config struct {
	// Weights of the replicas' votes; Equal(n) for n of weight 1.
	Weights []uint64
	// Params of the replicas; nil for replica.DefaultParams.
	Params *replica.Params
	// NewApp makes the application of one replica; nil for app.Chain.
	NewApp func(types.NodeID) app.Application
	// NewCrypto makes the signing identity of one replica; nil for Ed25519 with
	// keys derived from Seed.
	NewCrypto func(types.NodeID) crypto.Crypto
	Seed      uint64

	// OnDelivered, if not nil, is called for each delivered transaction, in
	// order, on the goroutine of that replica, which waits for it. The
	// transaction and the result must not be changed.
	OnDelivered func(types.NodeID, types.Delivered)
	// OnResult, if not nil, is called in the same way for each transaction
	// that SubmitAsync handed to a mempool: Err is nil or a mempool error.
	OnResult func(types.NodeID, types.SubmitResult)
	// Interceptor, if not nil, makes the recorder of one replica.
	Interceptor func(types.NodeID) mir.Interceptor
}

// Equal is the weights of n replicas with equal votes.
func Equal(n int) []uint64 {
	weights := make([]uint64, n)
	for i := range weights {
		weights[i] = 1
	}
	return weights
}

// Cluster is n replicas.
type Cluster struct {
	members []*member
	started bool
	wait    sync.WaitGroup
}

// New wires a cluster that does not run yet.
func New(cfg Config) (*Cluster, error) {
	genesis := types.WeightedConfiguration(cfg.Weights)
	quorums, err := genesis.Quorums()
	if err != nil {
		return nil, fmt.Errorf("building a cluster: %w", err)
	}
	if at := slices.Index(cfg.Weights, 0); at >= 0 {
		return nil, fmt.Errorf("building a cluster: weight of replica %d is 0, want 1 to 2^32", at)
	}
	n := quorums.N()
	net, err := mir.NewInprocNet(mir.InprocConfig{Nodes: n, Codec: replica.NewCodec()})
	if err != nil {
		return nil, fmt.Errorf("building a cluster: %w", err)
	}
	cfg = withDefaults(cfg, n)
	c := &Cluster{}
	for _, id := range quorums.Nodes() {
		m, err := newMember(cfg, id, genesis, net.Port(id))
		if err != nil {
			return nil, fmt.Errorf("building a cluster: %w", err)
		}
		c.members = append(c.members, m)
	}
	return c, nil
}

func withDefaults(cfg Config, n int) Config {
	if cfg.Params == nil {
		params := replica.DefaultParams(n)
		cfg.Params = &params
	}
	if cfg.NewApp == nil {
		cfg.NewApp = func(types.NodeID) app.Application { return &app.Chain{} }
	}
	if cfg.NewCrypto == nil {
		keys := crypto.DeriveEd25519(cfg.Seed, n)
		cfg.NewCrypto = func(id types.NodeID) crypto.Crypto { return keys[id] }
	}
	return cfg
}

// N is the number of replicas.
func (c *Cluster) N() int { return len(c.members) }

// Start makes all replicas run. It is called once.
func (c *Cluster) Start() {
	if c.started {
		panic("cluster: started twice")
	}
	c.started = true
	for _, m := range c.members {
		c.wait.Go(m.run)
	}
}

// Stop ends all replicas that still run and waits for them. It returns why any
// of them had ended before, other than by Kill.
func (c *Cluster) Stop() error {
	for _, m := range c.members {
		m.cancel()
	}
	c.wait.Wait()
	var errs []error
	for _, m := range c.members {
		errs = append(errs, m.failure())
	}
	return errors.Join(errs...)
}

// Kill crashes a replica, and returns when it is gone: what it had not sent or
// delivered is lost, and it does not come back.
func (c *Cluster) Kill(id types.NodeID) error {
	m, err := c.member(id)
	if err != nil {
		return err
	}
	m.cancel()
	if c.started {
		<-m.done
	}
	return nil
}

// Submit hands a transaction to the mempool of a replica and returns its
// answer: nil, or one of the mempool's typed errors. A transaction that was
// accepted is delivered if the replica is correct and lives. The payload
// belongs to the cluster from then on. Submit returns an error that wraps
// mir.ErrStopped if the replica is down, and that of ctx if it ends first: the
// transaction may be accepted all the same then.
func (c *Cluster) Submit(ctx context.Context, id types.NodeID, tx types.Tx) error {
	m, err := c.member(id)
	if err != nil {
		return err
	}
	return m.submit(ctx, tx)
}

// SubmitAsync hands transactions to the mempool of a replica without waiting
// for its answers, which go to Config.OnResult. It blocks while the replica has
// more input than it can take.
func (c *Cluster) SubmitAsync(ctx context.Context, id types.NodeID, txs ...types.Tx) error {
	m, err := c.member(id)
	if err != nil {
		return err
	}
	events := make([]mir.Event, len(txs))
	for i, tx := range txs {
		events[i] = mir.Event{To: m.replica.IDs.Mempool, Body: types.Submit{Tx: tx}}
	}
	return m.inject(ctx, events...)
}

// WaitDelivered waits until a replica has delivered n transactions in all.
func (c *Cluster) WaitDelivered(ctx context.Context, id types.NodeID, n uint64) error {
	m, err := c.member(id)
	if err != nil {
		return err
	}
	return m.waitDelivered(ctx, n)
}

// Counters of one replica. Messages, bytes and crypto operations are counted
// from the start of the cluster.
type Counters struct {
	Delivered uint64      // transactions
	Stable    types.Epoch // epochs that are final
	Net       mir.NetCounters
	Crypto    crypto.Counts
	Modules   []mir.ModuleCounters
}

// Counters may be called at any time.
func (c *Cluster) Counters(id types.NodeID) (Counters, error) {
	m, err := c.member(id)
	if err != nil {
		return Counters{}, err
	}
	return m.counters(), nil
}

// State of one replica between two of its events.
type State struct {
	Delivered uint64 // transactions that led to AppHash
	AppHash   types.Digest
	Stats     replica.Stats
}

// State asks a replica for its state. One that is down answers with its last.
func (c *Cluster) State(ctx context.Context, id types.NodeID) (State, error) {
	m, err := c.member(id)
	if err != nil {
		return State{}, err
	}
	return m.state(ctx)
}

func (c *Cluster) member(id types.NodeID) (*member, error) {
	if int64(id) >= int64(len(c.members)) {
		return nil, fmt.Errorf("replica %d of a cluster of %d", id, len(c.members))
	}
	return c.members[id], nil
}
