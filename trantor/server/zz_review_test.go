package server

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/client/wire"
	"github.com/perfgate/perfgate/trantor/types"
)

type oneRequest struct {
	grpc.ServerStream
	ctx  context.Context
	msgs chan []byte
}

func (o *oneRequest) Context() context.Context     { return o.ctx }
func (o *oneRequest) SetHeader(metadata.MD) error  { return nil }
func (o *oneRequest) SendHeader(metadata.MD) error { return nil }
func (o *oneRequest) SendMsg(any) error            { return nil }
func (o *oneRequest) RecvMsg(m any) error {
	select {
	case b := <-o.msgs:
		*(m.(*[]byte)) = b
		return nil
	case <-o.ctx.Done():
		return o.ctx.Err()
	}
}

func TestASubmissionThatNeverReachedTheNodeLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	reached := make(chan struct{})
	d := newDesk(DefaultLimits(), 1, func(ctx context.Context, _ ...mir.Event) error {
		close(reached)
		<-ctx.Done() // Held.
		return errors.New("gone")
	})
	s := &oneRequest{ctx: ctx, msgs: make(chan []byte, 1)}
	s.msgs <- wire.AppendSubmit(nil, []types.Tx{{TxID: types.TxID{Client: 1, No: 1}, Payload: []byte("x")}})
	done := make(chan struct{})
	go func() { _ = d.serve(s); close(done) }()
	<-reached
	cancel()
	<-done
	d.workers.Wait()
	if len(d.asked) != 0 || len(d.waiting) != 0 {
		t.Fatalf("asked %d waiting %d, want none", len(d.asked), len(d.waiting))
	}
}
