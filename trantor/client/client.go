// Package client submits transactions to the replicas of a Trantor system and
// believes an answer only when enough replicas give it.
//
// A transaction goes to one replica; so many others that together they are more
// than f are asked to tell of its delivery. It is answered when replicas of
// weight more than f give the same position and the same result, of which one at
// least is correct. Where that takes longer than RetryAfter, or a replica
// refuses, the transaction goes to others too: replicas deliver it once however
// often they get it. A replica that let a transaction wait for so long gets no new
// ones before it has told of a delivery again: it may be behind after a restart, or
// faulty, and one of n costs no more than one RetryAfter.
//
// The package's one opinion is that a client need not trust any single replica,
// and that doing without (Options.TrustOne) is asked for by name. It does not
// number transactions: (client, number) belongs to the caller, who may submit a
// transaction again after a failure without fear.
package client

import (
	"container/list"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/perfgate/perfgate/trantor/client/wire"
	"github.com/perfgate/perfgate/trantor/mempool"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// Member is a replica as clients know it.
type Member struct {
	Node   types.NodeID
	Weight uint64
	Key    ed25519.PublicKey
	Addr   string // Where it serves clients, host:port.
}

// Options of a Client. Zero values mean the defaults.
type Options struct {
	// TrustOne takes the word of the replica that got the transaction.
	TrustOne bool
	// RetryAfter: a transaction without enough answers goes to all replicas
	// then, and again after twice, four and eight times as long. Default 2 s.
	RetryAfter time.Duration
	// InFlightMax bounds the transactions without an answer. Default 4096.
	InFlightMax int
}

// The defaults, and how answers and requests are cut.
const (
	defaultRetryAfter  = 2 * time.Second
	defaultInFlightMax = 4096
	retryDoublingsMax  = 3
	messageTxsMax      = 512
	messageBytes       = 1 << 20 // A message ends after the transaction that passes it.
)

var (
	// ErrClosed is what a closed client answers.
	ErrClosed = errors.New("client: closed")
	// ErrTaken is the mempool.ErrDelivered of another payload: somebody else
	// numbers transactions of this client too.
	ErrTaken = fmt.Errorf("%w, with another payload", mempool.ErrDelivered)
	// ErrInFlight: a transaction of that identity has no answer yet.
	ErrInFlight = errors.New("client: already in flight")
)

// Result of a delivered transaction: its position in the log, and what the
// application answered.
type Result struct {
	Seq  types.SeqNr
	Data []byte
}

// Stats count what a client has met.
type Stats struct {
	Connected  int    // Replicas at this moment.
	Reconnects uint64 // Streams that broke.
	Retries    uint64 // Transactions that went to all replicas after RetryAfter.
	Conflicts  uint64 // Answers unlike those that were believed, or malformed: somebody is faulty.
}

// Client is safe for use by several goroutines.
type Client struct {
	opts   Options
	faulty uint64 // The weight of answers must be greater.
	links  []*link
	slots  chan struct{} // One token for each transaction in flight.
	cancel context.CancelFunc
	wait   sync.WaitGroup

	mu        sync.Mutex
	pending   map[types.TxID]*request
	order     list.List // Of *request, in order of submission.
	closed    bool
	connected chan struct{} // Closed and replaced when a link connects.
	stats     Stats
}

// Dial connects to members, and returns when replicas of weight more than f are
// connected, or one with TrustOne. The others are tried until Close.
func Dial(ctx context.Context, members []Member, opts Options) (*Client, error) {
	c, err := newClient(members, opts)
	if err != nil {
		return nil, fmt.Errorf("dialling %d replicas: %w", len(members), err)
	}
	run, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	for _, l := range c.links {
		c.wait.Go(func() { l.run(run) })
	}
	c.wait.Go(func() { c.retryLoop(run) })
	if err := c.waitConnected(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("dialling %d replicas: %w", len(members), err), c.Close())
	}
	return c, nil
}

func newClient(members []Member, opts Options) (*Client, error) {
	if opts.RetryAfter <= 0 {
		opts.RetryAfter = defaultRetryAfter
	}
	if opts.InFlightMax <= 0 {
		opts.InFlightMax = defaultInFlightMax
	}
	weights := make([]uint64, len(members))
	for i, m := range members {
		weights[i] = m.Weight
	}
	quorums, err := quorum.New(weights)
	if err != nil {
		return nil, err
	}
	c := &Client{
		opts: opts, faulty: quorums.FaultyMax(), slots: make(chan struct{}, opts.InFlightMax),
		pending: map[types.TxID]*request{}, connected: make(chan struct{}),
	}
	for i, m := range members {
		l, err := newLink(c, i, m)
		if err != nil {
			return nil, errors.Join(err, c.closeConns())
		}
		c.links = append(c.links, l)
	}
	return c, nil
}

func newLink(c *Client, index int, m Member) (*link, error) {
	if len(m.Key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("replica %d: its key has %d bytes, want %d", m.Node, len(m.Key), ed25519.PublicKeySize)
	}
	conn, err := grpc.NewClient("passthrough:///"+m.Addr,
		grpc.WithTransportCredentials(credentials.NewTLS(wire.ClientTLS(m.Key))),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(wire.Codec{}), grpc.MaxCallRecvMsgSize(wire.AnswerBytesMax), grpc.WaitForReady(true)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: redial, MinConnectTimeout: 5 * time.Second}),
		// A replica whose machine vanished is noticed by nothing else.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
	)
	if err != nil {
		return nil, fmt.Errorf("replica %d at %s: %w", m.Node, m.Addr, err)
	}
	return &link{client: c, index: index, member: m, conn: conn, wake: make(chan struct{}, 1)}, nil
}

// waitConnected waits for the first connections.
func (c *Client) waitConnected(ctx context.Context) error {
	for {
		c.mu.Lock()
		count, weight, changed := 0, uint64(0), c.connected
		for _, l := range c.links {
			if l.connected {
				count++
				weight += l.member.Weight
			}
		}
		c.mu.Unlock()
		if c.enough(weight) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d are connected: %w", count, ctx.Err())
		}
	}
}

// Submit waits for the result of a transaction. It returns an error that wraps
// one of the mempool's if replicas refuse it, mempool.ErrDelivered among them,
// and that of ctx if it ends first: the transaction may be delivered all the
// same then. The payload must not be changed before Submit returns.
func (c *Client) Submit(ctx context.Context, tx types.Tx) (Result, error) {
	type outcome struct {
		result Result
		err    error
	}
	done := make(chan outcome, 1)
	if err := c.Go(ctx, tx, func(r Result, err error) { done <- outcome{r, err} }); err != nil {
		return Result{}, err
	}
	select {
	case o := <-done:
		return o.result, o.err
	case <-ctx.Done():
		c.Forget(tx.TxID)
		return Result{}, fmt.Errorf("client %d, transaction %d: no answer: %w", tx.Client, tx.No, ctx.Err())
	}
}

// Go hands a transaction in and returns; done is called once with what Submit
// would have returned, unless Go returned an error, or Forget comes first. It runs on a goroutine of the
// client, which waits for it, so it must not block nor call Close. Go itself
// waits, while InFlightMax transactions have no answer, until ctx ends.
func (c *Client) Go(ctx context.Context, tx types.Tx, done func(Result, error)) error {
	if types.BatchHeaderBytes+types.EncodedTxBytes(tx) > types.MaxBatchBytes {
		return fmt.Errorf("client %d, transaction %d of %d bytes: %w", tx.Client, tx.No, len(tx.Payload), mempool.ErrTooLarge)
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("client %d, transaction %d: %d are in flight: %w", tx.Client, tx.No, c.opts.InFlightMax, ctx.Err())
	}
	err := c.begin(tx, done)
	if err != nil {
		<-c.slots
		return fmt.Errorf("client %d, transaction %d: %w", tx.Client, tx.No, err)
	}
	return nil
}

func (c *Client) begin(tx types.Tx, done func(Result, error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if c.pending[tx.TxID] != nil {
		return ErrInFlight
	}
	r := &request{tx: tx, done: done, asks: make([]ask, len(c.links)), retryAt: time.Now().Add(c.opts.RetryAfter)}
	r.place = c.order.PushBack(r)
	c.pending[tx.TxID] = r
	if own := c.links[c.first(r)]; own.slow {
		own.enqueue(r) // It is slow no more when it tells of the delivery.
	}
	c.ask(r)
	return nil
}

// ask makes sure that what replicas may yet say can be enough, and that one of
// them was given the transaction: first the client's own, then the next ones, and
// slow ones last. All transactions of one client go to the same replica while it is
// connected and takes them, which keeps their order.
func (c *Client) ask(r *request) {
	weight, submitted := c.hope(r)
	first := c.first(r)
	for i := range 2 * len(c.links) {
		if submitted && c.enough(weight) {
			return
		}
		l := c.links[(first+i)%len(c.links)]
		a := &r.asks[l.index]
		if inTurn := l.slow == (i >= len(c.links)); !inTurn || !l.connected || a.asked && (a.told || submitted) {
			continue
		}
		if !a.asked {
			weight += l.member.Weight
		}
		a.submitted = a.submitted || !submitted
		submitted = true
		l.enqueue(r)
	}
}

// first is the replica, by link, that a client's transactions go to.
func (c *Client) first(r *request) int { return int(uint64(r.tx.Client) % uint64(len(c.links))) }

// hope is the weight of the replicas that may yet give one answer: those that gave
// the one with the most weight so far, and those that are connected, were asked and
// have not told, without slow ones. It also reports whether one was given the
// transaction and has not refused it.
func (c *Client) hope(r *request) (weight uint64, submitted bool) {
	best := uint64(0)
	for i, l := range c.links {
		a := r.asks[i]
		if a.delivered() {
			agree, _ := c.agreement(r, a.answer)
			best = max(best, agree)
		} else if a.asked && !a.told && l.connected && !l.slow {
			weight += l.member.Weight
		}
		submitted = submitted || a.submitted && !a.refused() && l.connected
	}
	return best + weight, submitted
}

// enough tells whether replicas of that weight can be believed.
func (c *Client) enough(weight uint64) bool {
	return weight > c.faulty || c.opts.TrustOne && weight > 0
}

// Forget gives a transaction up: its done is not called any more. It reports
// false where there is none in flight, because its answer is there or on its
// way to done.
func (c *Client) Forget(id types.TxID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.pending[id]
	if r == nil {
		return false
	}
	c.drop(r)
	return true
}

func (c *Client) drop(r *request) {
	delete(c.pending, r.tx.TxID)
	c.order.Remove(r.place)
	<-c.slots
}

// retryLoop submits everywhere what has waited too long.
func (c *Client) retryLoop(ctx context.Context) {
	tick := time.NewTicker(max(c.opts.RetryAfter/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			c.retry(now)
		case <-ctx.Done():
			return
		}
	}
}

func (c *Client) retry(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.order.Front(); e != nil; e = e.Next() {
		r := e.Value.(*request)
		if now.Before(r.retryAt) {
			continue
		}
		c.stats.Retries++
		r.retryAt = now.Add(c.opts.RetryAfter << min(r.retries, retryDoublingsMax))
		r.retries++
		for i, l := range c.links {
			l.slow = l.slow || r.asks[i].submitted && !r.asks[i].told
			c.submitTo(l, r)
		}
	}
}

// submitTo submits at a replica that has not told of the delivery.
func (c *Client) submitTo(l *link, r *request) {
	a := &r.asks[l.index]
	if a.delivered() {
		return
	}
	a.submitted = true
	l.enqueue(r)
}

// Stats may be called at any time.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	for _, l := range c.links {
		if l.connected {
			s.Connected++
		}
	}
	return s
}

// Close ends the connections; transactions without an answer end with ErrClosed.
func (c *Client) Close() error {
	c.cancel()
	c.wait.Wait()
	c.mu.Lock()
	c.closed = true
	var dones []func(Result, error)
	for _, r := range c.pending {
		c.drop(r)
		dones = append(dones, r.done)
	}
	c.mu.Unlock()
	for _, done := range dones {
		done(Result{}, ErrClosed)
	}
	return c.closeConns()
}

func (c *Client) closeConns() error {
	var errs []error
	for _, l := range c.links {
		if err := l.conn.Close(); err != nil && status.Code(err) != codes.Canceled {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
