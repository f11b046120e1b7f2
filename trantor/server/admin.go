package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/types"
)

const (
	// connectionsOfAdmins bounds who may ask at once.
	connectionsOfAdmins = 16
	// statusesMax of them may wait for the node, which may be stuck: the others
	// are left to /healthz and /metrics, which answer then too.
	statusesMax = 4
)

// admin is what the administrator asks over HTTP.
type admin struct {
	server   *Server
	listener net.Listener
	http     *http.Server
	stopping atomic.Bool
	statuses chan struct{} // One token for each status that waits for the node.
}

// openAdmin listens for the administrator.
func (s *Server) openAdmin() error {
	if s.cfg.Listen.Admin == "" {
		return nil
	}
	l, err := net.Listen("tcp", s.cfg.Listen.Admin)
	if err != nil {
		return fmt.Errorf("listening for the administrator: %w", err)
	}
	a := &admin{server: s, listener: newListener(l, connectionsOfAdmins, connectionsOfAdmins), statuses: make(chan struct{}, statusesMax)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", a.ready)
	mux.HandleFunc("GET /status", a.status)
	mux.Handle("GET /metrics", promhttp.HandlerFor(newRegistry(s), promhttp.HandlerOpts{MaxRequestsInFlight: 2}))
	if s.cfg.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	a.http = &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	s.admin = a
	return nil
}

func (a *admin) serve() error {
	if err := a.http.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the administrator: %w", err)
	}
	return nil
}

func (a *admin) close() error {
	err := a.http.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	_ = a.listener.Close() // Closed already, where it was served.
	return err
}

// ready says whether clients should come here, and why not.
func (a *admin) ready(w http.ResponseWriter, _ *http.Request) {
	if err := a.notReady(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// staleAfter: a node that was not between two events for so long is stuck, or
// has far more to do than it can.
const staleAfter = 10 * sampleEvery

func (a *admin) notReady() error {
	if a.stopping.Load() {
		return errors.New("stopping")
	}
	if err := a.server.probe.last.Load().notReady(time.Now()); err != nil {
		return err
	}
	return a.server.connected()
}

// notReady is what speaks against the replica in a sample; nil is none so far. What
// is final was agreed on by others too, and may be far ahead of here: an epoch or
// two is the way of the slowest of a quorum and more is not. Both are of one
// moment, because epochs may pass faster than samples are taken.
func (s *sample) notReady(now time.Time) error {
	switch {
	case s == nil:
		return errors.New("starting")
	case now.Sub(s.at) > staleAfter:
		return fmt.Errorf("no answer of the node for %v", now.Sub(s.at).Round(time.Second))
	case s.stats.Behind:
		return errors.New("behind: catching up by state transfer")
	case s.stable > s.stats.Epoch+behindMax:
		return fmt.Errorf("behind: in epoch %d, and epoch %d is final", s.stats.Epoch, s.stable-1)
	}
	return nil
}

// behindMax is how many epochs that are final a ready replica may have to do.
const behindMax = 2

// connected reports an error where the replica speaks with less than a quorum.
func (s *Server) connected() error {
	quorums, err := s.members().Quorums()
	if err != nil {
		return err
	}
	if !quorums.Has(s.cfg.Node) {
		return fmt.Errorf("replica %d is no member: it has left, or has not joined yet", s.cfg.Node)
	}
	weight := quorums.Weight(s.cfg.Node)
	for _, p := range s.transport.Stats().Peers {
		if p.Connected {
			weight += quorums.Weight(p.Node)
		}
	}
	if !quorums.IsQuorum(weight) {
		return fmt.Errorf("connected to replicas of weight %d, which is no quorum", weight)
	}
	return nil
}

// Status is what /status answers, as JSON.
type Status struct {
	Node      types.NodeID `json:"node"`
	Ready     bool         `json:"ready"`
	Reason    string       `json:"reason,omitempty"` // Why it is not ready.
	Epoch     types.Epoch  `json:"epoch"`
	Delivered uint64       `json:"delivered"` // Transactions since genesis.
	// Members are those of the latest epoch that is known.
	Members []StatusMember `json:"members"`
	// Stable is how many epochs are final; with StableDigest, that of the
	// state after the last of them.
	Stable       types.Epoch `json:"stable"`
	StableDigest string      `json:"stableDigest,omitempty"`
	// AppHash is the digest of the state after Delivered transactions. It costs
	// a pass over the state: only with ?hash=1.
	AppHash string `json:"appHash,omitempty"`
}

// StatusMember is a member as Status shows it. One of weight 0 has left.
type StatusMember struct {
	Node   types.NodeID `json:"node"`
	Weight uint64       `json:"weight"`
	Key    string       `json:"key"`
	Addr   string       `json:"addr"`
}

func (a *admin) status(w http.ResponseWriter, r *http.Request) {
	select {
	case a.statuses <- struct{}{}:
		defer func() { <-a.statuses }()
	default:
		http.Error(w, fmt.Sprintf("%d others wait for the node's status", statusesMax), http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), staleAfter)
	defer cancel()
	status, err := a.server.Status(ctx, r.URL.Query().Get("hash") == "1")
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(status) // The administrator has gone.
}

// Status asks the replica for its state between two events.
func (s *Server) Status(ctx context.Context, hash bool) (Status, error) {
	status := Status{Node: s.cfg.Node, Ready: true}
	if s.admin != nil {
		if err := s.admin.notReady(); err != nil {
			status.Ready, status.Reason = false, err.Error()
		}
	}
	if stable := s.results.stable.Load(); stable != nil {
		status.Stable, status.StableDigest = stable.Epoch+1, fmt.Sprintf("%x", stable.Digest[:])
	}
	answer := make(chan Status, 1)
	err := s.probe.inspect(ctx, func() {
		status.Epoch, status.Delivered = s.replica.Stats().Epoch, s.results.delivered.Load()
		if hash {
			digest := s.replica.AppHash()
			status.AppHash = fmt.Sprintf("%x", digest[:])
		}
		answer <- status
	})
	if err != nil {
		return Status{}, fmt.Errorf("replica %d: %w", s.cfg.Node, err)
	}
	status = <-answer
	for _, m := range s.members().Members {
		status.Members = append(status.Members, StatusMember{Node: m.Node, Weight: m.Weight, Key: crypto.PublicKeyText(m.Key), Addr: m.Addr})
	}
	return status, nil
}

// members are those of the latest epoch that is known.
func (s *Server) members() types.Configuration {
	s.results.mu.Lock()
	defer s.results.mu.Unlock()
	if len(s.results.members.Members) == 0 {
		return s.cfg.Genesis()
	}
	return s.results.members
}
