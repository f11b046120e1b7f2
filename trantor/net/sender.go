package net

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/perfgate/perfgate/mir"
)

// framesMethod is the one method of the one service: a stream of frames to the
// server.
const (
	serviceName  = "trantor.Link"
	streamName   = "Frames"
	framesMethod = "/" + serviceName + "/" + streamName
)

var framesStream = grpc.StreamDesc{StreamName: streamName, ClientStreams: true}

// runSender keeps a connection to a peer, on which it sends what is in the
// outbox, until the peer leaves.
func (t *Transport) runSender(p *peer) {
	defer t.work.Done()
	l := t.cfg.Limits
	for attempt := uint64(0); ; attempt++ {
		began := time.Now()
		t.runSession(p)
		// A peer that connects and hangs up is no better than one that is down.
		if time.Since(began) > l.BackoffMax {
			attempt = 0
		}
		if !sleep(p.ctx, jittered(doubled(l.BackoffMin, l.BackoffMax, attempt))) {
			return
		}
	}
}

// jittered is a time between half of d and one and a half, so that replicas
// that lost the same peer do not come back in step.
func jittered(d time.Duration) time.Duration { return d/2 + rand.N(d+1) }

// sleep reports false when ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// runSession is one connection, from the attempt to its end.
func (t *Transport) runSession(p *peer) {
	ctx, cancel, addr := p.beginSession()
	defer cancel()
	conn, stream, err := t.connect(ctx, cancel, p, addr)
	if err != nil {
		p.count(func(s *PeerStats) { s.Failures++; s.LastFailure = reason(err) })
		return
	}
	defer conn.Close()
	p.connected()
	defer p.outbox.disconnect()
	// The peer sends nothing, so this returns when the stream ends.
	t.work.Go(func() {
		defer cancel()
		_ = stream.RecvMsg(&inFrame{})
	})
	for {
		f, ok := p.outbox.take(ctx)
		if !ok {
			return
		}
		err := stream.SendMsg(f)
		p.outbox.settle(f, err == nil)
		if err != nil {
			return
		}
		t.traffic.messagesSent.Add(1)
		t.traffic.wireBytesSent.Add(uint64(f.wireBytes()))
	}
}

// connect makes a connection and a stream that the peer has accepted.
func (t *Transport) connect(ctx context.Context, cancel context.CancelFunc, p *peer, addr string) (*grpc.ClientConn, grpc.ClientStream, error) {
	late := time.AfterFunc(t.cfg.Limits.ConnectTimeout, cancel)
	defer late.Stop()
	conn, err := grpc.NewClient("passthrough:///"+addr, t.dialOptions(p)...)
	if err != nil {
		return nil, nil, fmt.Errorf("connecting to replica %d at %s: %w", p.node, addr, err)
	}
	stream, err := conn.NewStream(ctx, &framesStream, framesMethod)
	if err == nil {
		_, err = stream.Header()
	}
	if err != nil {
		_ = conn.Close() // It carried nothing.
		return nil, nil, fmt.Errorf("connecting to replica %d at %s: %w", p.node, addr, err)
	}
	return conn, stream, nil
}

func (t *Transport) dialOptions(p *peer) []grpc.DialOption {
	l := t.cfg.Limits
	return []grpc.DialOption{
		grpc.WithTransportCredentials(newOutboundCredentials(t, p)),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		}),
		grpc.WithNoProxy(),
		grpc.WithIdleTimeout(0), // An idle replica stays connected.
		// Whether and when to try again is the sender's decision alone.
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: l.ConnectTimeout}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: l.KeepaliveAfter, Timeout: l.KeepaliveTimeout, PermitWithoutStream: true,
		}),
		grpc.WithMaxHeaderListSize(headerListBytes),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(rawCodec{}),
			grpc.MaxCallSendMsgSize(mir.FrameHeaderBytes+l.MessageBytesMax),
			grpc.MaxCallRecvMsgSize(mir.FrameHeaderBytes),
		),
	}
}
