package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/client"
	"github.com/perfgate/perfgate/trantor/client/wire"
	"github.com/perfgate/perfgate/trantor/mempool"
	"github.com/perfgate/perfgate/trantor/server"
	"github.com/perfgate/perfgate/trantor/types"
)

// alone runs a system of one replica whose configuration a test changes.
func alone(t *testing.T, change func(*server.Config)) (*system, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	s := prepare(t, server.Plan{Replicas: 1, Params: quick})
	s.change = change
	s.start(0)
	if err := server.WaitReady(ctx, s.runs[0].server.Addrs().Admin); err != nil {
		t.Fatal(err)
	}
	return s, ctx
}

// stream is a client that a test plays itself.
func (s *system) stream(ctx context.Context) grpc.ClientStream {
	s.t.Helper()
	stream, err := s.tryStream(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	return stream
}

func (s *system) tryStream(ctx context.Context) (grpc.ClientStream, error) {
	s.t.Helper()
	m := s.members()[0]
	conn, err := grpc.NewClient("passthrough:///"+m.Addr, grpc.WithTransportCredentials(credentials.NewTLS(wire.ClientTLS(m.Key))),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(wire.Codec{}), grpc.MaxCallRecvMsgSize(wire.AnswerBytesMax)))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	return conn.NewStream(ctx, &wire.Stream, wire.Method)
}

func send(t *testing.T, stream grpc.ClientStream, message []byte) {
	t.Helper()
	if err := stream.SendMsg(&message); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

// answers receives until there are count answers, or the stream's error.
func answers(stream grpc.ClientStream, count int) (all []wire.Answer, err error) {
	for len(all) < count {
		var message []byte
		if err := stream.RecvMsg(&message); err != nil {
			return all, err
		}
		some, err := wire.DecodeAnswers(message)
		if err != nil {
			return all, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func putTx(client, no, bytes int) types.Tx {
	command := app.Command{Op: app.Put, Key: fmt.Append(nil, no), Value: make([]byte, bytes)}
	return types.Tx{TxID: types.TxID{Client: types.ClientID(client), No: types.TxNo(no)}, Payload: command.Encode()}
}

func TestStreamsBeyondTheLimitAreRefused(t *testing.T) {
	s, ctx := alone(t, func(c *server.Config) { c.Limits.Clients = 2 })
	for i := range 2 {
		stream := s.stream(ctx)
		send(t, stream, wire.AppendSubmit(nil, []types.Tx{putTx(i, 0, 1)}))
		if _, err := answers(stream, 2); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := s.tryStream(ctx)
	if err == nil {
		_, err = answers(stream, 1)
	}
	// The connection is one too many already; if it were not, the stream is.
	if code := status.Code(err); code != codes.Unavailable && code != codes.ResourceExhausted {
		t.Errorf("a third client of two: %v", err)
	}
}

func TestRequestsBeyondTheLimitsEndTheStream(t *testing.T) {
	s, ctx := alone(t, func(c *server.Config) { c.Limits.InFlight, c.Limits.RequestBytes = 4, 1000 })
	many := make([]types.TxID, 5)
	for name, request := range map[string]struct {
		message []byte
		code    codes.Code
	}{
		"transactions": {wire.AppendWatch(nil, many), codes.InvalidArgument},
		"bytes":        {wire.AppendSubmit(nil, []types.Tx{putTx(1, 0, 1000)}), codes.ResourceExhausted},
		"garbage":      {[]byte("garbage"), codes.InvalidArgument},
	} {
		stream := s.stream(ctx)
		send(t, stream, request.message)
		if _, err := answers(stream, 1); status.Code(err) != request.code {
			t.Errorf("too many %s: %v, want %v", name, err, request.code)
		}
	}
}

func TestMoreThanMayBeInFlightWaits(t *testing.T) {
	s, ctx := alone(t, func(c *server.Config) { c.Limits.InFlight = 4 })
	stream := s.stream(ctx)
	// Four that nobody submits fill the stream; the fifth waits behind them.
	send(t, stream, wire.AppendWatch(nil, []types.TxID{{Client: 7, No: 0}, {Client: 7, No: 1}, {Client: 7, No: 2}, {Client: 7, No: 3}}))
	send(t, stream, wire.AppendSubmit(nil, []types.Tx{putTx(8, 0, 1)}))
	helper := s.stream(ctx)
	send(t, helper, wire.AppendSubmit(nil, []types.Tx{putTx(7, 0, 1)}))
	got, err := answers(stream, 3)
	if err != nil {
		t.Fatal(err)
	}
	want := []wire.Answer{
		{ID: types.TxID{Client: 7}, Code: wire.Delivered}, {ID: types.TxID{Client: 8}, Code: wire.Accepted}, {ID: types.TxID{Client: 8}, Code: wire.Delivered},
	}
	for i, a := range got {
		if a.ID != want[i].ID || a.Code != want[i].Code {
			t.Errorf("answer %d is %v of %v, want %v of %v", i, a.Code, a.ID, want[i].Code, want[i].ID)
		}
	}
}

func TestAClientThatDoesNotReadIsCutOff(t *testing.T) {
	s, ctx := alone(t, func(c *server.Config) { c.Limits.AnswerBytes = 1 << 20 })
	stream := s.stream(ctx)
	value := 60 << 10
	send(t, stream, wire.AppendSubmit(nil, []types.Tx{putTx(1, 0, value)}))
	if _, err := answers(stream, 2); err != nil {
		t.Fatal(err)
	}
	// Each answer carries the value. The buffers between hold some, and the rest
	// passes the limit by the time that all are delivered.
	const reads = 100
	for no := range reads {
		get := app.Command{Op: app.Get, Key: fmt.Append(nil, 0)}
		send(t, stream, wire.AppendSubmit(nil, []types.Tx{{TxID: types.TxID{Client: 2, No: types.TxNo(no)}, Payload: get.Encode()}}))
	}
	s.statuses(1 + reads)
	got, err := answers(stream, 2*reads)
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("the stream ends with %v after %d answers", err, len(got))
	}
}

func TestTheMempoolsReasonsReachTheClient(t *testing.T) {
	s, ctx := alone(t, func(c *server.Config) {
		c.Params.PayloadBytesMax, c.Params.ClientWindow, c.Params.ClientsMax = 100, 8, 2
		c.Limits.RecentResults = 1
	})
	c := s.dial(client.Options{})
	if _, err := c.Submit(ctx, putTx(1, 0, 1)); err != nil {
		t.Fatal(err)
	}
	for want, tx := range map[error]types.Tx{
		mempool.ErrTooLarge:   putTx(1, 1, 200),
		mempool.ErrWindowFull: putTx(1, 9, 1),
	} {
		if _, err := c.Submit(ctx, tx); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	again, err := c.Submit(ctx, putTx(1, 0, 1))
	if err != nil || string(again.Data) != "\x00" {
		t.Errorf("a delivered transaction again: %+v (%v), want the same result", again, err)
	}
	if _, err := c.Submit(ctx, putTx(1, 1, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Submit(ctx, putTx(1, 0, 1)); !errors.Is(err, mempool.ErrDelivered) {
		t.Errorf("a delivered transaction whose result is forgotten: %v", err)
	}
	if _, err := c.Submit(ctx, putTx(2, 0, 1)); err != nil {
		t.Error(err)
	}
	if _, err := c.Submit(ctx, putTx(3, 0, 1)); !errors.Is(err, mempool.ErrTooManyClients) {
		t.Errorf("a third client of two: %v", err)
	}
}

func TestClientsMustSpeakTLS13(t *testing.T) {
	s, _ := alone(t, nil)
	terms := wire.ClientTLS(s.members()[0].Key)
	terms.MinVersion, terms.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if conn, err := tls.Dial("tcp", s.members()[0].Addr, terms); err == nil {
		_ = conn.Close()
		t.Error("TLS 1.2 is spoken")
	}
}

func TestTheAdministratorSeesWhatTheReplicaDoes(t *testing.T) {
	for _, pprof := range []bool{false, true} {
		s, ctx := alone(t, func(c *server.Config) { c.Pprof = pprof })
		addr := s.runs[0].server.Addrs().Admin
		c := s.dial(client.Options{})
		for no := range 5 {
			if _, err := c.Submit(ctx, putTx(1, no, 1)); err != nil {
				t.Fatal(err)
			}
		}
		metrics, err := server.Ask(ctx, addr, "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"\ntrantor_ready 1\n", "\ntrantor_delivered_transactions_total 5\n", "\ntrantor_clients_connected 1\n",
			"\ntrantor_clients_answers_total{code=\"delivered\"} 5\n", "\ntrantor_module_events_total{module=\"mempool\"} ",
			"\ntrantor_crypto_signs_total ", "\ntrantor_pbft_view_changes_total 0\n", "\ngo_goroutines ",
		} {
			if !strings.Contains(metrics, want) {
				t.Errorf("the metrics have no %q", want)
			}
		}
		for path, want := range map[string]bool{"/healthz": true, "/readyz": true, "/status?hash=1": true, "/debug/pprof/": pprof, "/debug/pprof/heap": pprof, "/other": false} {
			if _, err := server.Ask(ctx, addr, path); (err == nil) != want {
				t.Errorf("pprof=%v: %s: %v", pprof, path, err)
			}
		}
		if status, err := server.AskStatus(ctx, addr, true); err != nil || status.Delivered != 5 || !status.Ready || status.AppHash == "" {
			t.Errorf("status %+v (%v)", status, err)
		}
		http.DefaultClient.CloseIdleConnections()
	}
}

func TestAReplicaWithoutAQuorumIsNotReady(t *testing.T) {
	s := prepare(t, server.Plan{Replicas: 4, Params: quick})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.start(0)
	s.start(1)
	_, err := server.Ask(ctx, s.runs[0].server.Addrs().Admin, "/readyz")
	if !errors.Is(err, server.ErrNotReady) {
		t.Errorf("two of four: %v", err)
	}
	s.start(2)
	for id := range 3 {
		if err := server.WaitReady(ctx, s.runs[id].server.Addrs().Admin); err != nil {
			t.Error(err)
		}
	}
}

var metricName = regexp.MustCompile("trantor_[a-z_]+")

func TestTheMetricsOfTheDocumentsExist(t *testing.T) {
	page, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, server.Plan{Replicas: 2, Durable: true, Params: map[string]string{"epoch-length": "2"}})
	c := s.dial(client.Options{})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	addr := s.runs[0].server.Addrs().Admin
	for no := 0; ; no++ {
		if _, err := c.Submit(ctx, putTx(1, no, 1)); err != nil {
			t.Fatal(err)
		}
		status, err := server.AskStatus(ctx, addr, false)
		if err != nil {
			t.Fatal(err)
		}
		if status.Stable > 0 {
			break
		}
	}
	metrics, err := server.Ask(ctx, addr, "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	names := metricName.FindAllString(string(page), -1)
	if len(names) < 20 {
		t.Errorf("the page names %d metrics", len(names))
	}
	for _, name := range names {
		if !strings.Contains(metrics, "\n"+name+" ") && !strings.Contains(metrics, "\n"+name+"{") {
			t.Errorf("there is no metric %s", name)
		}
	}
}
