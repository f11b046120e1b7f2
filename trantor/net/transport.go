package net

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// Transport is one replica's end of the network: the active module that serves
// mir.Send and injects mir.Received. It is started once.
type Transport struct {
	cfg      Config
	identity *identity
	door     *door
	server   *grpc.Server
	traffic  traffic

	ctx    context.Context // Ends with Stop.
	cancel context.CancelFunc
	work   sync.WaitGroup // The goroutines of this package. Added to under mu, before stopped.

	mu      sync.RWMutex
	in      mir.Injector // Nil before Start.
	stopped bool
	peers   map[types.NodeID]*peer
}

var _ mir.Active = (*Transport)(nil)

// New checks the configuration and opens the listener. Nothing is read from it
// before Start. A transport that is never started must be stopped all the same.
// On an error, cfg.Listener is still the caller's.
func New(cfg Config) (*Transport, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("transport of replica %d: %w", cfg.Node, err)
	}
	t := &Transport{
		cfg:      cfg,
		identity: &identity{node: cfg.Node, system: cfg.SystemID, key: cfg.Key},
		peers:    map[types.NodeID]*peer{},
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	if err := t.SetPeers(cfg.Peers); err != nil {
		return nil, err
	}
	if _, err := t.identity.certificate(); err != nil {
		return nil, fmt.Errorf("transport of replica %d: %w", cfg.Node, err)
	}
	listener := cfg.Listener
	if listener == nil {
		var err error
		if listener, err = net.Listen("tcp", cfg.Listen); err != nil {
			return nil, fmt.Errorf("transport of replica %d: %w", cfg.Node, err)
		}
	}
	t.door = newDoor(t, listener)
	t.server = t.newServer()
	return t, nil
}

// Addr is where this replica is reached, host:port.
func (t *Transport) Addr() string { return t.door.Addr().String() }

// SetPeers says who this replica speaks with from now on: the members with a
// weight, without itself. It connects to new ones, closes the links with those
// that are missing, and reconnects to those with another address. A list may
// name a member several times, with the same key: the members of several epochs
// in one list, and the last address counts. It may be called at any time and
// does not block.
//
// The error names each member that cannot be what the list says, and why: those
// stay what they were, peers or none. All others are as the list wants them, for
// the list is what replicas have ordered, and one mistake in it must not cut the
// links between the rest.
func (t *Transport) SetPeers(members []types.Member) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return nil
	}
	wanted, wrong := t.wanted(members)
	for id, p := range t.peers {
		_, stays := wrong[id]
		if _, ok := wanted[id]; !ok && !stays {
			p.leave()
			delete(t.peers, id)
		}
	}
	for id, m := range wanted {
		if p := t.peers[id]; p != nil {
			p.move(m.Addr)
			continue
		}
		p := newPeer(t.ctx, m, t.cfg, &t.traffic.dropped)
		t.peers[id] = p
		if t.in != nil {
			t.startSender(p)
		}
	}
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(wrong)) {
		errs = append(errs, fmt.Errorf("transport of replica %d: peers: member %d %w", t.cfg.Node, id, wrong[id]))
	}
	return errors.Join(errs...)
}

// wanted are the peers among members, and what is wrong with the others.
func (t *Transport) wanted(members []types.Member) (wanted map[types.NodeID]types.Member, wrong map[types.NodeID]error) {
	wanted, wrong = map[types.NodeID]types.Member{}, map[types.NodeID]error{}
	for _, m := range members {
		if m.Weight == 0 {
			continue
		}
		if err := t.checkMember(m, wanted[m.Node].Key); err != nil {
			wrong[m.Node] = err
		} else if m.Node != t.cfg.Node {
			wanted[m.Node] = m
		}
	}
	return wanted, wrong
}

// checkMember tells whether a member can be a peer, or this replica. Before is
// its key earlier in the list, if it was there.
func (t *Transport) checkMember(m types.Member, before []byte) error {
	if p := t.peers[m.Node]; p != nil {
		before = p.key
	}
	switch {
	case len(m.Key) != ed25519.PublicKeySize:
		return fmt.Errorf("has a key of %d bytes, want %d", len(m.Key), ed25519.PublicKeySize)
	case m.Node == t.cfg.Node && !bytes.Equal(m.Key, t.identity.publicKey()):
		return errors.New("is this replica, with another key")
	case before != nil && !bytes.Equal(m.Key, before):
		return errors.New("has another key than before")
	case m.Node != t.cfg.Node && m.Addr == "":
		return errors.New("has no address")
	}
	return nil
}

// Start implements mir.Active.
func (t *Transport) Start(in mir.Injector) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped || t.in != nil {
		return errors.New("trantor/net: a transport starts once")
	}
	t.in = in
	for _, p := range t.peers {
		t.startSender(p)
	}
	t.work.Add(1)
	go t.serve()
	return nil
}

func (t *Transport) startSender(p *peer) {
	p.outbox.start(t.in)
	t.work.Add(1)
	go t.runSender(p)
}

// serve accepts connections until Stop.
func (t *Transport) serve() {
	defer t.work.Done()
	if err := t.server.Serve(t.door); err != nil && t.ctx.Err() == nil {
		t.in.Fail(fmt.Errorf("trantor/net: accepting connections: %w", err))
	}
}

// Stop implements mir.Active. It closes the listener and every connection, so
// it waits for no peer. What is queued is lost.
func (t *Transport) Stop() {
	t.mu.Lock()
	t.stopped = true
	t.cancel()
	for _, p := range t.peers {
		p.leave()
	}
	t.mu.Unlock()
	t.door.shut()
	_ = t.door.Listener.Close() // The server closes it too, if it serves.
	t.server.Stop()
	t.work.Wait()
}

// Apply implements mir.Module.
func (t *Transport) Apply(ev mir.Event, out *mir.Out) {
	switch body := ev.Body.(type) {
	case mir.Send:
		t.send(body, out)
	case applied:
		body.share.free(body.messages, body.bytes)
	default:
		panic(fmt.Sprintf("trantor/net: invariant broken: the network was sent %s", ev.Body.EventName()))
	}
}

func (t *Transport) send(send mir.Send, out *mir.Out) {
	encoded := false
	f := frame{dest: send.Dest, sub: send.Sub}
	for _, to := range send.To {
		if to == t.cfg.Node {
			out.EmitSub(send.Dest, send.Sub, mir.Received{From: to, Msg: send.Msg})
			continue
		}
		p := t.peer(to)
		if p == nil {
			t.traffic.unroutable.Add(1)
			continue
		}
		if !encoded {
			f.wire, encoded = t.encode(send.Msg), true
		}
		if len(f.wire) > t.cfg.Limits.MessageBytesMax {
			t.traffic.tooLarge.Add(1)
			continue
		}
		p.outbox.put(f)
	}
}

func (t *Transport) encode(m mir.Message) []byte {
	wire, err := t.cfg.Codec.Encode(nil, m)
	if err != nil {
		panic(fmt.Errorf("trantor/net: invariant broken: own message %s can not be encoded: %w", m.EventName(), err))
	}
	return wire
}

func (t *Transport) peer(id types.NodeID) *peer {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.peers[id]
}

func (t *Transport) sortedPeers() []*peer {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var sorted []*peer
	for _, id := range slices.Sorted(maps.Keys(t.peers)) {
		sorted = append(sorted, t.peers[id])
	}
	return sorted
}

// authenticate finds the peer that the other side of a connection shows to be.
func (t *Transport) authenticate(state tls.ConnectionState) (*peer, error) {
	now := time.Now()
	c, err := readClaim(state, t.cfg.SystemID, now)
	if err != nil {
		return nil, err
	}
	switch p := t.peer(c.node); {
	case p == nil:
		return nil, fmt.Errorf("replica %d: %w", c.node, errStranger)
	case !p.key.Equal(c.key):
		return nil, fmt.Errorf("replica %d: %w", c.node, errWrongKey)
	default:
		return p, nil
	}
}
