package net

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// door lets connections in: it is the listener and makes the server's side of
// the handshake. It knows every connection, so that it can close the oldest of
// too many that have not shown who they are, and so that Stop need not wait for
// one that is silent.
type door struct {
	net.Listener
	transport *Transport
	tls       credentials.TransportCredentials

	mu      sync.Mutex
	closed  bool
	refusal string                // Of the last connection that was refused.
	pending []*inbound            // Not through the handshake, oldest first. Invariant: <= HandshakesMax.
	all     map[*inbound]struct{} // Not closed: the pending ones and a few of each peer.
}

var _ credentials.TransportCredentials = (*door)(nil)

func newDoor(t *Transport, l net.Listener) *door {
	verify := func(state tls.ConnectionState) error {
		_, err := t.authenticate(state)
		return err
	}
	return &door{
		Listener: l, transport: t, tls: credentials.NewTLS(t.identity.tlsConfig(verify)),
		all: map[*inbound]struct{}{},
	}
}

// inbound is an accepted connection. gRPC closes it, and thereby makes the door
// forget it; everybody else only hangs up, which gRPC notices.
type inbound struct {
	net.Conn
	door *door
	peer *peer // Nil before the handshake.
}

// inboundInfo is what a stream knows of the connection that it is on.
type inboundInfo struct {
	credentials.TLSInfo
	conn *inbound
}

// Accept implements net.Listener. A new connection makes room for itself: the
// oldest goes, because a correct peer needs two round trips to get through, and
// silent strangers push each other out.
func (d *door) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &inbound{Conn: conn, door: d}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all[c] = struct{}{}
	if d.closed {
		c.hangUp()
	}
	if len(d.pending) >= d.transport.cfg.Limits.HandshakesMax {
		d.pending[0].hangUp()
		d.pending = slices.Delete(d.pending, 0, 1)
	}
	d.pending = append(d.pending, c)
	return c, nil
}

// ServerHandshake implements credentials.TransportCredentials.
func (d *door) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c := raw.(*inbound) // The server listens at the door only.
	conn, info, err := d.handshake(c)
	d.handshaken(c)
	if err != nil {
		err = fmt.Errorf("refusing %s: %w", c.RemoteAddr(), err)
		d.refused(err)
		c.hangUp()
		return nil, nil, err
	}
	return conn, inboundInfo{TLSInfo: info, conn: c}, nil
}

// refused counts a connection and remembers why it was refused, which gRPC tells
// nobody.
func (d *door) refused(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refusal = reason(err)
	d.transport.traffic.refused.Add(1)
}

func (d *door) lastRefusal() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refusal
}

// reasonBytesMax bounds what is kept of an error, in which a stranger may have a
// say.
const reasonBytesMax = 512

func reason(err error) string {
	text := err.Error()
	return strings.ToValidUTF8(text[:min(len(text), reasonBytesMax)], "?")
}

func (d *door) handshake(c *inbound) (net.Conn, credentials.TLSInfo, error) {
	conn, info, err := d.tls.ServerHandshake(c)
	if err != nil {
		return nil, credentials.TLSInfo{}, err
	}
	tlsInfo := info.(credentials.TLSInfo)
	if c.peer, err = d.transport.authenticate(tlsInfo.State); err != nil {
		return nil, credentials.TLSInfo{}, err
	}
	return conn, tlsInfo, c.peer.adopt(c, time.Now())
}

// handshaken takes a connection out of those that have not shown who they are.
func (d *door) handshaken(c *inbound) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending = slices.DeleteFunc(d.pending, func(p *inbound) bool { return p == c })
}

// Close implements net.Conn.
func (c *inbound) Close() error {
	d := c.door
	d.handshaken(c)
	d.mu.Lock()
	delete(d.all, c)
	d.mu.Unlock()
	if c.peer != nil {
		c.peer.abandon(c)
	}
	return c.Conn.Close()
}

// hangUp ends the connection without waiting for anything. Its error says at
// most that it had ended before.
func (c *inbound) hangUp() { _ = c.Conn.Close() }

// shut hangs up every connection, and each that comes later at once.
func (d *door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for c := range d.all {
		c.hangUp()
	}
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
