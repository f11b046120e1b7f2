package net

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

var errClosed = errors.New("the transport has stopped")

// door lets connections in: it makes the server's side of the handshake, closes
// the oldest of too many that are in it, and knows every raw connection, so that
// Stop need not wait for one that is silent.
type door struct {
	transport *Transport
	tls       credentials.TransportCredentials

	mu      sync.Mutex
	closed  bool
	pending []net.Conn            // In the handshake, oldest first. Invariant: <= HandshakesMax.
	inside  map[net.Conn]struct{} // Through it, and not closed. At most a few for each peer.
}

var _ credentials.TransportCredentials = (*door)(nil)

func newDoor(t *Transport) *door {
	verify := func(state tls.ConnectionState) error {
		_, err := t.authenticate(state)
		return err
	}
	return &door{transport: t, tls: credentials.NewTLS(t.identity.tlsConfig(verify)), inside: map[net.Conn]struct{}{}}
}

// inboundLink is what a stream knows of the connection that it is on.
type inboundLink struct {
	credentials.TLSInfo
	peer *peer
	raw  net.Conn
}

// ServerHandshake implements credentials.TransportCredentials.
func (d *door) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, link, err := d.handshake(raw)
	if err != nil {
		d.transport.traffic.refused.Add(1)
		_ = raw.Close() // It is over either way.
		return nil, nil, err
	}
	return &inboundConn{Conn: conn, closed: sync.OnceFunc(func() { d.leave(link) })}, link, nil
}

func (d *door) handshake(raw net.Conn) (net.Conn, inboundLink, error) {
	if err := d.begin(raw); err != nil {
		return nil, inboundLink{}, err
	}
	conn, info, err := d.tls.ServerHandshake(raw)
	link := inboundLink{raw: raw}
	if err == nil {
		link.TLSInfo = info.(credentials.TLSInfo)
		link.peer, err = d.transport.authenticate(link.State)
	}
	if err == nil {
		err = link.peer.adopt(raw, time.Now())
	}
	if err := d.end(raw, err); err != nil {
		return nil, inboundLink{}, fmt.Errorf("refusing %s: %w", raw.RemoteAddr(), err)
	}
	return conn, link, nil
}

// begin makes room for a handshake: the oldest goes, because a correct peer
// needs two round trips and a flood of silent strangers is pushed out by itself.
func (d *door) begin(raw net.Conn) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errClosed
	}
	if len(d.pending) >= d.transport.cfg.Limits.HandshakesMax {
		_ = d.pending[0].Close() // Its own goroutine sees it, and ends.
		d.pending = slices.Delete(d.pending, 0, 1)
	}
	d.pending = append(d.pending, raw)
	return nil
}

// end takes a connection out of the handshake, and lets it in if nothing failed.
func (d *door) end(raw net.Conn, failed error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending = slices.DeleteFunc(d.pending, func(c net.Conn) bool { return c == raw })
	switch {
	case failed != nil:
		return failed
	case d.closed:
		return errClosed
	}
	d.inside[raw] = struct{}{}
	return nil
}

// leave forgets a connection that is closed.
func (d *door) leave(link inboundLink) {
	link.peer.abandon(link.raw)
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.inside, link.raw)
}

// close closes every connection and lets none in any more.
func (d *door) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, raw := range d.pending {
		_ = raw.Close() // Its own goroutine sees it, and ends.
	}
	for raw := range d.inside {
		_ = raw.Close()
	}
}

// inboundConn tells the door when it is closed.
type inboundConn struct {
	net.Conn
	closed func()
}

// Close implements net.Conn.
func (c *inboundConn) Close() error {
	defer c.closed()
	return c.Conn.Close()
}

// ClientHandshake implements credentials.TransportCredentials. A door is no
// client.
func (d *door) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("trantor/net: invariant broken: a door makes no outbound handshake")
}

// Info implements credentials.TransportCredentials.
func (d *door) Info() credentials.ProtocolInfo { return d.tls.Info() }

// Clone implements credentials.TransportCredentials. The door is one.
func (d *door) Clone() credentials.TransportCredentials { return d }

// OverrideServerName implements credentials.TransportCredentials. No name
// matters here: certificates are pinned.
func (d *door) OverrideServerName(string) error { return nil }

// newOutboundCredentials make the client's side of the handshake with one peer
// and count when the other side is somebody else.
func newOutboundCredentials(t *Transport, p *peer) credentials.TransportCredentials {
	verify := func(state tls.ConnectionState) error {
		other, err := t.authenticate(state)
		if err == nil && other != p {
			err = fmt.Errorf("replica %d answers instead: %w", other.node, errWrongKey)
		}
		if err != nil {
			p.count(func(s *PeerStats) { s.Refused++ })
		}
		return err
	}
	return credentials.NewTLS(t.identity.tlsConfig(verify))
}
