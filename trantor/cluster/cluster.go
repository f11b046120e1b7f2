// Package cluster runs n replicas on one machine, in real time: for tests, for
// the benchmark suite and for the command. A [Cluster] has them in this process,
// connected within it or over TLS on loopback, with a store on disk or without;
// [Processes] are one process for each.
//
// Its one opinion is that a caller sees what a client and an operator would
// see: transactions go in and get an answer, deliveries come out, a replica can
// be killed and started again, and counters can be read at any time. It
// simulates nothing (see mir/sim for that) and it measures nothing but counts.
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
	"github.com/perfgate/perfgate/trantor/quorum"
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
	// keys derived from Seed. Over Loopback it must be nil.
	NewCrypto func(types.NodeID) crypto.Crypto
	Seed      uint64
	// Transport connects the replicas: InProcess if not given.
	Transport Transport
	// Dir makes the replicas durable: each has a folder of its own below it. A
	// folder that holds an earlier run's state is gone on from. Empty for none.
	Dir string

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

// Transport is how replicas of one process are connected.
type Transport int

// The transports.
const (
	// InProcess hands encoded messages over in memory (mir.InprocNet).
	InProcess Transport = iota
	// Loopback is that of replica processes: gRPC over mutual TLS 1.3, at
	// 127.0.0.1.
	Loopback
)

// Cluster is n replicas.
type Cluster struct {
	cfg    Config
	wiring wiring

	mu      sync.Mutex
	members []*member // The latest run of each replica.
	started bool
	stopped bool
	wait    sync.WaitGroup
}

// New wires a cluster that does not run yet.
func New(cfg Config) (*Cluster, error) {
	c, err := newCluster(cfg)
	if err != nil {
		return nil, fmt.Errorf("building a cluster: %w", err)
	}
	return c, nil
}

func newCluster(cfg Config) (*Cluster, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg = withDefaults(cfg, len(cfg.Weights))
	c := &Cluster{cfg: cfg}
	var err error
	if c.wiring, err = newWiring(cfg); err != nil {
		return nil, err
	}
	for id := range types.NodeID(len(cfg.Weights)) {
		m, err := newMember(cfg, id, c.wiring)
		if err != nil {
			return nil, errors.Join(err, c.closeMembers())
		}
		c.members = append(c.members, m)
	}
	return c, nil
}

func (cfg Config) check() error {
	if n := len(cfg.Weights); n > types.MaxReplicas {
		return fmt.Errorf("%d replicas, limit %d", n, types.MaxReplicas)
	}
	if _, err := quorum.New(cfg.Weights); err != nil {
		return err
	}
	if at := slices.Index(cfg.Weights, 0); at >= 0 {
		return fmt.Errorf("weight of replica %d is 0, want 1 to 2^32", at)
	}
	if cfg.Transport == Loopback && cfg.NewCrypto != nil {
		return errors.New("over Loopback replicas are known by their Ed25519 keys: NewCrypto must be nil")
	}
	return nil
}

func withDefaults(cfg Config, n int) Config {
	if cfg.Params == nil {
		params := replica.DefaultParams(n)
		cfg.Params = &params
	}
	if cfg.NewApp == nil {
		cfg.NewApp = func(types.NodeID) app.Application { return &app.Chain{} }
	}
	if cfg.NewCrypto == nil && cfg.Transport == InProcess {
		keys := crypto.DeriveEd25519(cfg.Seed, n)
		cfg.NewCrypto = func(id types.NodeID) crypto.Crypto { return keys[id] }
	}
	return cfg
}

// N is the number of replicas.
func (c *Cluster) N() int { return len(c.cfg.Weights) }

// Start makes all replicas run. It is called once.
func (c *Cluster) Start() {
	c.mu.Lock()
	defer c.mu.Unlock()
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
	err := c.closeMembers()
	c.wait.Wait()
	return err
}

func (c *Cluster) closeMembers() error {
	c.mu.Lock()
	c.stopped = true // No other runs from here on.
	members, started := slices.Clone(c.members), c.started
	c.mu.Unlock()
	var errs []error
	for _, m := range members {
		m.cancel()
	}
	// Without the lock: who asks another replica need not wait for these.
	for _, m := range members {
		errs = append(errs, m.close(started), m.failure())
	}
	return errors.Join(errs...)
}

// Kill crashes a replica, and returns when it is gone: what it had not sent or
// delivered is lost, and so is everything that it did not make durable.
func (c *Cluster) Kill(id types.NodeID) error {
	m, err := c.member(id)
	if err != nil {
		return err
	}
	m.cancel()
	c.mu.Lock()
	started := c.started
	c.mu.Unlock()
	return m.close(started)
}

// Restart makes a replica run again that was killed. With Config.Dir it goes on
// from what it had made durable. Without, it has forgotten what it signed, and
// counts as one of the faulty ones.
func (c *Cluster) Restart(id types.NodeID) error {
	before, err := c.member(id)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.stopped:
		return fmt.Errorf("restarting replica %d: the cluster has stopped", id)
	case !c.started || before != c.members[id] || !before.ended():
		return fmt.Errorf("restarting replica %d: it was not killed", id)
	}
	m, err := newMember(c.cfg, id, c.wiring)
	if err != nil {
		return fmt.Errorf("restarting replica %d: %w", id, err)
	}
	c.members[id] = m
	c.wait.Go(m.run)
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
		events[i] = m.submission(tx)
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

// Counters of one replica, since it started last; the in-process network goes on
// counting over restarts.
type Counters struct {
	Delivered uint64      // transactions since genesis
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

// Watch turns profiler labels, and the measuring of the modules' time, which
// Counters then has as Spent, on or off in all replicas that run now. See package
// instrument for what that costs.
func (c *Cluster) Watch(labels, times bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members {
		m.watch.SetLabels(labels)
		m.watch.SetTimes(times)
	}
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
	if int64(id) >= int64(c.N()) {
		return nil, fmt.Errorf("replica %d of a cluster of %d", id, c.N())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.members[id], nil
}
