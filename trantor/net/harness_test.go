package net

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/mem"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// note is the message of these tests. Its codec refuses one that begins with
// '!' when decoding, and copies the bytes, as the contract wants.
type note string

func (note) EventName() string { return "test.Note" }

type noteCodec struct{}

func (noteCodec) Encode(dst []byte, m mir.Message) ([]byte, error) {
	return append(dst, m.(note)...), nil
}

func (noteCodec) Decode(b []byte) (mir.Message, error) {
	if len(b) > 0 && b[0] == '!' {
		return nil, errors.New("malformed note")
	}
	return note(b), nil
}

const testSystem = "the system under test"

// Modules of a test's node, in this order of names.
const (
	netID mir.ModuleID = 1 + iota
	appID
)

func testNames() *mir.Names {
	var names mir.Names
	names.Intern("net")
	names.Intern("app")
	return &names
}

func testKey(node types.NodeID) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = byte(node + 1)
	return ed25519.NewKeyFromSeed(seed)
}

func publicKey(key ed25519.PrivateKey) []byte { return key.Public().(ed25519.PublicKey) }

// app is the module that messages go to.
type app struct {
	onReceived func(from types.NodeID, m note, out *mir.Out) // Nil for none.

	mu   sync.Mutex
	from map[types.NodeID][]note
}

func (a *app) Apply(ev mir.Event, out *mir.Out) {
	body, ok := ev.Body.(mir.Received)
	if !ok {
		return
	}
	m := body.Msg.(note)
	a.mu.Lock()
	a.from[body.From] = append(a.from[body.From], m)
	a.mu.Unlock()
	if a.onReceived != nil {
		a.onReceived(body.From, m, out)
	}
}

// got is the messages of one peer so far.
func (a *app) got(from types.NodeID) []note {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]note(nil), a.from[from]...)
}

// replica is a node with a transport.
type replica struct {
	t         *testing.T
	id        types.NodeID
	transport *Transport
	node      *mir.Node
	app       *app
	stop      func() // May be called twice.
}

// system is replicas 0..n-1 that know each other.
type system struct {
	t        *testing.T
	members  []types.Member
	replicas []*replica
	edit     func(*Config)
}

// newSystem makes replicas that do not run yet. edit may change their
// configurations.
func newSystem(t *testing.T, n int, edit func(*Config)) *system {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	s := &system{t: t, edit: edit, replicas: make([]*replica, n)}
	listeners := make([]net.Listener, n)
	for i := range n {
		listeners[i] = listen(t, "127.0.0.1:0")
		s.members = append(s.members, types.Member{
			Node: types.NodeID(i), Weight: 1, Key: publicKey(testKey(types.NodeID(i))), Addr: listeners[i].Addr().String(),
		})
	}
	for i := range n {
		s.replicas[i] = s.build(types.NodeID(i), listeners[i])
	}
	return s
}

func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// fast makes what waits in a test wait briefly.
var fast = Limits{BackoffMin: 5 * time.Millisecond, BackoffMax: 50 * time.Millisecond}

func (s *system) config(id types.NodeID) Config {
	cfg := Config{
		Node: id, Self: netID, SystemID: testSystem, Key: testKey(id),
		Codec: noteCodec{}, Peers: s.members, Limits: fast,
	}
	if s.edit != nil {
		s.edit(&cfg)
	}
	return cfg
}

// build makes a replica that is not started.
func (s *system) build(id types.NodeID, l net.Listener) *replica {
	s.t.Helper()
	cfg := s.config(id)
	cfg.Listener = l
	transport, err := New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	r := &replica{t: s.t, id: id, transport: transport, app: &app{from: map[types.NodeID][]note{}}, stop: transport.Stop}
	s.t.Cleanup(func() { r.stop() })
	return r
}

func (s *system) start() *system {
	for _, r := range s.replicas {
		r.start(mir.NodeConfig{})
	}
	return s
}

func (r *replica) start(cfg mir.NodeConfig) {
	r.t.Helper()
	cfg.ID, cfg.Names = r.id, testNames()
	cfg.Modules = []mir.Registration{{ID: netID, Module: r.transport}, {ID: appID, Module: r.app}}
	var err error
	if r.node, err = mir.NewNode(cfg); err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- r.node.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ran; err != nil {
			r.t.Errorf("node %d: %v", r.id, err)
		}
	})
}

// send makes the node send a note.
func (r *replica) send(m note, to ...types.NodeID) {
	r.t.Helper()
	if err := r.node.Inject(r.t.Context(), sendEvent(m, to...)); err != nil {
		r.t.Fatal(err)
	}
}

func sendEvent(m note, to ...types.NodeID) mir.Event {
	return mir.Event{To: netID, Body: mir.Send{To: to, Dest: appID, Msg: m}}
}

// peerStats is what the replica counts about a peer.
func (r *replica) peerStats(id types.NodeID) PeerStats { return r.transport.PeerStats(id) }

// waitLinked waits until the replica has a connection to each peer.
func (r *replica) waitLinked(ids ...types.NodeID) {
	r.t.Helper()
	for _, id := range ids {
		eventually(r.t, "a connection", func() bool { return r.peerStats(id).Connected })
	}
}

// eventually polls for a condition that concurrent work brings about.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); {
		if time.Now().After(deadline) {
			t.Fatalf("still waiting: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// intruder is the sending side of a link, driven by hand: what a faulty replica
// may do.
type intruder struct {
	t      *testing.T
	conn   *grpc.ClientConn
	stream grpc.ClientStream
	ended  chan struct{} // Closed when the receiver has ended the stream.
}

// bytesCodec sends any bytes as a frame.
type bytesCodec struct{ rawCodec }

func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

// intrude connects with a certificate, or reports why not.
func intrude(t *testing.T, addr string, config *tls.Config) (*intruder, error) {
	t.Helper()
	conn := dial(t, addr, config)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(func() { cancel(); _ = conn.Close() })
	i := &intruder{t: t, conn: conn, ended: make(chan struct{})}
	var err error
	i.stream, err = conn.NewStream(ctx, &framesStream, framesMethod)
	if err == nil {
		_, err = i.stream.Header()
	}
	if err != nil {
		cancel()
		_ = conn.Close()
		return nil, err
	}
	go func() {
		defer close(i.ended)
		_ = i.stream.RecvMsg(&inFrame{})
	}()
	return i, nil
}

// dial makes a connection that sends any bytes, once it is used.
func dial(t *testing.T, addr string, config *tls.Config) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithNoProxy(), grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(bytesCodec{})))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// intrudeAs connects as a replica whose key we have.
func intrudeAs(t *testing.T, addr string, id types.NodeID) *intruder {
	t.Helper()
	i, err := intrude(t, addr, clientTLS(honestCertificate(t, id)))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func honestCertificate(t *testing.T, id types.NodeID) *tls.Certificate {
	return certificate(t, testKey(id), testSystem, id, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
}

func certificate(t *testing.T, key ed25519.PrivateKey, system string, id types.NodeID, from, until time.Time) *tls.Certificate {
	t.Helper()
	cert, err := newCertificate(key, system, id, from, until)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func clientTLS(cert *tls.Certificate) *tls.Config {
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}
	if cert != nil {
		config.Certificates = []tls.Certificate{*cert}
	}
	return config
}

// frameOf is the bytes of a frame.
func frameOf(dest mir.ModuleID, wire []byte) []byte {
	return append(frame{dest: dest}.header(), wire...)
}

// send sends bytes as a frame. It reports false when the stream has ended.
func (i *intruder) send(b []byte) bool { return i.stream.SendMsg(b) == nil }

// waitEnded waits until the receiver has ended the stream.
func (i *intruder) waitEnded() {
	i.t.Helper()
	select {
	case <-i.ended:
	case <-time.After(20 * time.Second):
		i.t.Fatal("the stream did not end")
	}
}
