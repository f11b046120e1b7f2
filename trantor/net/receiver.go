package net

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/perfgate/perfgate/mir"
)

const (
	// receiveWindow is what a peer may have on its way to us, unread: the
	// bandwidth-delay product of 1 Gbit/s and 64 ms.
	receiveWindow = 8 << 20

	// headerListBytes bounds the headers of a stream; ours have some 300 bytes.
	headerListBytes = 4 << 10
)

// applied comes back to the transport when the node has applied what was
// injected before it. It gives the peer its share of the input back.
type applied struct {
	share           *share
	messages, bytes int
}

// EventName implements mir.Body.
func (applied) EventName() string { return "net.Applied" }

var (
	errBadFrames = errors.New("too many malformed frames")
	errNotLinked = errors.New("the stream is on no link")
)

func (t *Transport) newServer() *grpc.Server {
	l := t.cfg.Limits
	server := grpc.NewServer(
		grpc.Creds(t.door),
		grpc.ForceServerCodecV2(rawCodec{}),
		grpc.MaxRecvMsgSize(mir.FrameHeaderBytes+l.MessageBytesMax),
		grpc.StaticStreamWindowSize(receiveWindow),
		grpc.StaticConnWindowSize(receiveWindow),
		grpc.MaxConcurrentStreams(1),
		grpc.MaxHeaderListSize(headerListBytes),
		grpc.ConnectionTimeout(l.ConnectTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: l.KeepaliveAfter, Timeout: l.KeepaliveTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: l.KeepaliveAfter / 2, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true), // Stop returns when they are gone.
		grpc.UnknownServiceHandler(refuse),
	)
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: serviceName,
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName: streamName, ClientStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error { return t.receive(stream) },
		}},
	}, struct{}{})
	return server
}

// receive reads the stream of one peer. A connection is good for one stream:
// it is closed at the end, so that opening streams costs a peer a handshake.
func (t *Transport) receive(stream grpc.ServerStream) error {
	conn, err := connOf(stream)
	if err != nil {
		return err
	}
	defer conn.hangUp()
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	if !conn.peer.beginReceiving(stream.Context()) {
		return stream.Context().Err()
	}
	defer conn.peer.endReceiving()
	r := &receiver{t: t, peer: conn.peer, ctx: stream.Context()}
	defer r.giveBack()
	for {
		var in inFrame
		if err := stream.RecvMsg(&in); err != nil {
			return r.onEnd(err)
		}
		err := r.onFrame(in.bytes())
		in.free()
		if err != nil {
			return err
		}
	}
}

// refuse ends the connection of a peer that calls what there is not: otherwise it
// could do so as fast as it can write, beside all rates.
func refuse(_ any, stream grpc.ServerStream) error {
	conn, err := connOf(stream)
	if err != nil {
		return err
	}
	conn.hangUp()
	return status.Error(codes.Unimplemented, "no such method")
}

// connOf is the connection that a stream is on.
func connOf(stream grpc.ServerStream) (*inbound, error) {
	from, ok := grpcpeer.FromContext(stream.Context())
	if !ok {
		return nil, errNotLinked
	}
	info, ok := from.AuthInfo.(inboundInfo)
	if !ok {
		return nil, errNotLinked
	}
	return info.conn, nil
}

// receiver is one inbound stream.
type receiver struct {
	t    *Transport
	peer *peer
	ctx  context.Context

	badFrames int

	// What was injected since the share was last given back. Invariant: less
	// than a quarter of the share, so that whoever waits for the share waits
	// for what the node will certainly apply.
	messages, bytes int
}

// onEnd tells the end of a connection from a message that gRPC refused.
func (r *receiver) onEnd(err error) error {
	switch status.Code(err) {
	case codes.ResourceExhausted, codes.Unimplemented: // Too large, or compressed.
		r.peer.count(func(s *PeerStats) { s.BadFrames++ })
		r.peer.punish(time.Now(), r.t.cfg.Limits)
	}
	return err
}

// onFrame passes one frame to the node. It returns when the node's input has it,
// which may take as long as the peer is too fast.
func (r *receiver) onFrame(b []byte) error {
	c := &r.t.traffic
	c.messagesReceived.Add(1)
	c.wireBytesReceived.Add(uint64(len(b)))
	if err := r.slowDown(len(b)); err != nil {
		return err
	}
	f, err := parseFrame(b)
	if err != nil {
		return r.onBadFrame()
	}
	if !r.t.in.Accepts(f.dest) {
		c.misaddressed.Add(1)
		return nil
	}
	msg, err := r.t.cfg.Codec.Decode(f.wire)
	if err != nil {
		return r.onBadFrame()
	}
	return r.inject(mir.Event{To: f.dest, Sub: f.sub, Body: mir.Received{From: r.peer.node, Msg: msg}}.Sized(len(b)), len(b))
}

// slowDown waits until the peer may have sent another message of that size.
func (r *receiver) slowDown(bytes int) error {
	now := time.Now()
	wait := max(
		r.peer.messages.ReserveN(now, 1).DelayFrom(now),
		r.peer.bytes.ReserveN(now, bytes).DelayFrom(now),
	)
	if wait == 0 {
		return nil
	}
	r.peer.count(func(s *PeerStats) { s.RateLimited++ })
	if !sleep(r.ctx, wait) {
		return r.ctx.Err()
	}
	return nil
}

func (r *receiver) onBadFrame() error {
	r.t.traffic.decodeErrors.Add(1)
	r.peer.count(func(s *PeerStats) { s.BadFrames++ })
	r.badFrames++
	if r.badFrames < r.t.cfg.Limits.BadFramesMax {
		return nil
	}
	r.peer.punish(time.Now(), r.t.cfg.Limits)
	return fmt.Errorf("replica %d: %w", r.peer.node, errBadFrames)
}

// inject hands an event to the node within the peer's share of its input.
func (r *receiver) inject(ev mir.Event, bytes int) error {
	if err := r.peer.share.take(r.ctx, bytes); err != nil {
		return err
	}
	r.messages++
	r.bytes += bytes
	events := []mir.Event{ev}
	if 4*r.messages >= r.peer.share.messagesMax || 4*r.bytes >= r.peer.share.bytesMax {
		events = append(events, r.takeApplied())
	}
	if err := r.t.in.Inject(events...); err != nil {
		r.t.traffic.lost.Add(1)
		return err
	}
	return nil
}

// takeApplied is the event that gives back what was injected so far.
func (r *receiver) takeApplied() mir.Event {
	ev := mir.Event{To: r.t.cfg.Self, Body: applied{share: r.peer.share, messages: r.messages, bytes: r.bytes}}
	r.messages, r.bytes = 0, 0
	return ev
}

// giveBack leaves nothing of the share to a stream that has ended.
func (r *receiver) giveBack() {
	if r.messages > 0 {
		_ = r.t.in.Inject(r.takeApplied()) // A node that has stopped has no shares.
	}
}
