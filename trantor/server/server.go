package server

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/client/wire"
	"github.com/perfgate/perfgate/trantor/crypto"
	trantornet "github.com/perfgate/perfgate/trantor/net"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// verifyCacheEntries is how many verified signatures are remembered: those of a
// few epochs.
const verifyCacheEntries = 1 << 16

// Options are what a program decides, rather than a configuration file. Nil
// fields mean none.
type Options struct {
	// Logf gets one line for each thing that an operator should know.
	Logf func(format string, args ...any)
	// Record opens the recording that Config.Trace names.
	Record func(path string, node types.NodeID, names *mir.Names) (mir.Interceptor, io.Closer, error)
}

// Server is one replica.
type Server struct {
	cfg  Config
	opts Options

	counting  *crypto.Counting
	replica   *replica.Replica
	node      *mir.Node
	transport *trantornet.Transport
	store     *durable
	probe     *probe
	results   *results
	desk      *desk
	recording io.Closer // Nil for none.

	clients *listener // Nil where no clients are served.
	server  *grpc.Server
	admin   *admin // Nil where there is none.
}

// Addrs are where a server listens, host:port each, empty where it does not.
type Addrs struct{ Replicas, Clients, Admin string }

// New opens what the configuration names, and recovers. The server listens from
// now on, and answers when it runs. Where Run is never called, Close frees
// everything.
func New(cfg Config, opts Options) (*Server, error) {
	if opts.Logf == nil {
		opts.Logf = func(string, ...any) {}
	}
	s := &Server{cfg: cfg, opts: opts}
	err := cfg.Check()
	for _, step := range []func() error{s.openReplica, s.openClients, s.openAdmin} {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("replica %d: %w", cfg.Node, err), s.Close())
	}
	return s, nil
}

// openReplica wires the replica into a node.
func (s *Server) openReplica() error {
	key, err := crypto.LoadKey(s.cfg.KeyFile)
	if err != nil {
		return err
	}
	if err := s.openCrypto(key); err != nil {
		return err
	}
	if s.store, err = openDurable(s.cfg, s.opts.Logf); err != nil {
		return err
	}
	s.results = &results{server: s}
	s.replica, err = replica.New(replica.Config{
		Node: s.cfg.Node, Genesis: s.cfg.Genesis(), System: s.cfg.System, Crypto: s.counting, App: Applications[s.cfg.Application](), Params: s.cfg.Params,
		Durable: s.store.on(), Records: s.store.records, Results: s.results,
	})
	if err != nil {
		return err
	}
	s.store.records = nil // They may be large.
	ids := s.replica.IDs
	s.transport, err = trantornet.New(trantornet.Config{
		Node: s.cfg.Node, Self: ids.Net, SystemID: s.cfg.System, Key: key, Listen: s.cfg.Listen.Replicas,
		Codec: replica.NewCodec(), Peers: s.cfg.Genesis().Members, Limits: s.cfg.Net,
	})
	if err != nil {
		return err
	}
	if err := s.openNode(); err != nil {
		return err
	}
	s.results.recovered(s.replica.Restored())
	return nil
}

// openCrypto makes the replica's signing identity. Its own key is known to
// itself also where it is no member yet.
func (s *Server) openCrypto(key ed25519.PrivateKey) error {
	identity, err := crypto.NewEd25519(key, nil)
	if err != nil {
		return err
	}
	if err := identity.AddKey(s.cfg.Node, crypto.PublicKey(key)); err != nil {
		return err
	}
	for _, m := range s.cfg.Members {
		if err := identity.AddKey(m.Node, m.Key); err != nil {
			return fmt.Errorf("%w; is %s the key of replica %d?", err, s.cfg.KeyFile, s.cfg.Node)
		}
	}
	s.counting = crypto.NewCounting(crypto.NewCaching(identity, verifyCacheEntries))
	return nil
}

func (s *Server) openNode() error {
	ids, self := s.replica.IDs, s.replica.Names.Intern("server")
	s.probe = newProbe(self, s.replica, s.results)
	// The probe starts first, because Boot comes before all other input, and
	// the store stops after what writes to it.
	modules := []mir.Registration{{ID: self, Module: s.probe}}
	modules = append(modules, s.store.registrations(ids.Store)...)
	modules = append(modules,
		mir.Registration{ID: ids.Timer, Module: mir.NewRealTimer(ids.Timer)},
		mir.Registration{ID: ids.Net, Module: s.transport})
	cfg := mir.NodeConfig{ID: s.cfg.Node, Names: s.replica.Names, Modules: append(modules, s.replica.Modules...)}
	var err error
	if s.cfg.Trace != "" {
		if s.opts.Record == nil {
			return errors.New("trace: this program records nothing")
		}
		if cfg.Interceptor, s.recording, err = s.opts.Record(s.cfg.Trace, s.cfg.Node, s.replica.Names); err != nil {
			return fmt.Errorf("trace: %w", err)
		}
	}
	if s.node, err = mir.NewNode(cfg); err != nil {
		return err
	}
	s.desk = newDesk(s.cfg.Limits, ids.Mempool, s.cfg.Params.ClientWindow, s.node.Inject)
	return nil
}

// openClients listens for clients.
func (s *Server) openClients() error {
	if s.cfg.Listen.Clients == "" {
		return nil
	}
	key, err := crypto.LoadKey(s.cfg.KeyFile)
	if err != nil {
		return err
	}
	terms, err := wire.ServerTLS(key)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", s.cfg.Listen.Clients)
	if err != nil {
		return fmt.Errorf("listening for clients: %w", err)
	}
	s.clients = newListener(l, s.cfg.Limits.Clients, s.cfg.Limits.FromOneHost)
	s.server = grpc.NewServer(
		grpc.Creds(credentials.NewTLS(terms)),
		grpc.ForceServerCodec(wire.Codec{}),
		grpc.MaxRecvMsgSize(s.cfg.Limits.RequestBytes),
		grpc.MaxConcurrentStreams(streamsOfOneConnection),
		grpc.MaxHeaderListSize(8<<10),
		grpc.WaitForHandlers(true), // Close frees what they use.
		grpc.ConnectionTimeout(5*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: time.Minute, Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second}),
	)
	s.server.RegisterService(wire.Description(s.desk.serve), nil)
	return nil
}

// streamsOfOneConnection: a client needs one, and one more while the server has
// not noticed the end of the one before.
const streamsOfOneConnection = 2

// Addrs may be called at any time.
func (s *Server) Addrs() Addrs {
	addrs := Addrs{Replicas: s.transport.Addr()}
	if s.clients != nil {
		addrs.Clients = s.clients.Addr().String()
	}
	if s.admin != nil {
		addrs.Admin = s.admin.listener.Addr().String()
	}
	return addrs
}

// Run serves until ctx ends, which returns nil after an orderly stop, or until
// something breaks. It is called once.
func (s *Server) Run(ctx context.Context) error {
	nodeCtx, stopNode := context.WithCancel(context.Background())
	defer stopNode()
	nodeDone, failed := make(chan error, 1), make(chan error, 2)
	var work sync.WaitGroup
	work.Go(func() { nodeDone <- s.node.Run(nodeCtx) })
	if s.clients != nil {
		work.Go(func() { failed <- s.server.Serve(s.clients) })
	}
	if s.admin != nil {
		work.Go(func() { failed <- s.admin.serve() })
	}
	s.opts.Logf("replica %d runs: replicas at %s, clients at %s, admin at %s",
		s.cfg.Node, s.Addrs().Replicas, orNone(s.Addrs().Clients), orNone(s.Addrs().Admin))
	var err error
	select {
	case err = <-nodeDone:
	case err = <-failed:
		stopNode()
		err = errors.Join(err, <-nodeDone)
	case <-ctx.Done():
		s.opts.Logf("replica %d stops", s.cfg.Node)
		s.drain()
		stopNode()
		err = <-nodeDone
	}
	err = errors.Join(err, s.Close())
	work.Wait()
	if err != nil {
		return fmt.Errorf("replica %d: %w", s.cfg.Node, err)
	}
	return nil
}

func orNone(addr string) string {
	if addr == "" {
		return "none"
	}
	return addr
}

// drain lets the clients have their answers.
func (s *Server) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Limits.Drain)
	defer cancel()
	if s.admin != nil {
		s.admin.stopping.Store(true)
	}
	s.desk.drain(ctx)
}

// Close frees what New opened, where Run is never called. After Run it does
// nothing.
func (s *Server) Close() error {
	var errs []error
	if s.server != nil {
		s.server.Stop()
		s.desk.workers.Wait()
	}
	if s.clients != nil {
		_ = s.clients.Close() // Closed already, where it was served.
	}
	if s.admin != nil {
		errs = append(errs, s.admin.close())
	}
	// A node that ran has stopped these already; stopping again does nothing.
	if s.transport != nil {
		s.transport.Stop()
	}
	if s.store != nil {
		errs = append(errs, s.store.close())
	}
	if s.recording != nil {
		errs = append(errs, s.recording.Close())
		s.recording = nil
	}
	return errors.Join(errs...)
}
