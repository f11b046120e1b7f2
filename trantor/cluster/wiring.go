package cluster

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	trantornet "github.com/perfgate/perfgate/trantor/net"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/server"
	"github.com/perfgate/perfgate/trantor/types"
)

// wiring is what the runs of all replicas share.
type wiring interface {
	genesis() types.Configuration
	crypto(types.NodeID) (crypto.Crypto, error)
	// link is a replica's end of the network, for one run.
	link(id types.NodeID, self mir.ModuleID) (link, error)
}

// link is the network module of one run.
type link interface {
	mir.Active
	Counters() mir.NetCounters
	Close() error
}

func newWiring(cfg Config) (wiring, error) {
	if cfg.Transport == Loopback {
		return newLoopback(cfg)
	}
	net, err := mir.NewInprocNet(mir.InprocConfig{Nodes: len(cfg.Weights), Codec: replica.NewCodec()})
	return &inProcess{cfg: cfg, net: net}, err
}

// inProcess connects replicas in memory.
type inProcess struct {
	cfg Config
	net *mir.InprocNet
}

func (w *inProcess) genesis() types.Configuration { return types.WeightedConfiguration(w.cfg.Weights) }

func (w *inProcess) crypto(id types.NodeID) (crypto.Crypto, error) { return w.cfg.NewCrypto(id), nil }

func (w *inProcess) link(id types.NodeID, _ mir.ModuleID) (link, error) {
	return port{w.net.Port(id)}, nil
}

// port is a replica's end of the in-process network, which all of its runs use.
type port struct{ *mir.InprocPort }

// Close does nothing: the node has stopped it.
func (port) Close() error { return nil }

// loopback connects replicas as processes are.
type loopback struct {
	keys   []ed25519.PrivateKey
	config types.Configuration
}

// loopbackSystem is the system's name in the certificates of a cluster.
const loopbackSystem = "cluster"

func newLoopback(cfg Config) (*loopback, error) {
	w := &loopback{config: types.WeightedConfiguration(cfg.Weights)}
	ports, err := server.FreePorts(len(cfg.Weights))
	if err != nil {
		return nil, err
	}
	for i := range w.config.Members {
		seed := sha256.Sum256(binary.LittleEndian.AppendUint64(fmt.Appendf(nil, "trantor/cluster/loopback %d ", i), cfg.Seed))
		w.keys = append(w.keys, ed25519.NewKeyFromSeed(seed[:]))
		m := &w.config.Members[i]
		m.Key, m.Addr = crypto.PublicKey(w.keys[i]), fmt.Sprintf("127.0.0.1:%d", ports[i])
	}
	return w, nil
}

func (w *loopback) genesis() types.Configuration { return w.config }

func (w *loopback) crypto(id types.NodeID) (crypto.Crypto, error) {
	identity, err := crypto.NewEd25519(w.keys[id], nil)
	for _, m := range w.config.Members {
		if err == nil {
			err = identity.AddKey(m.Node, m.Key)
		}
	}
	return identity, err
}

func (w *loopback) link(id types.NodeID, self mir.ModuleID) (link, error) {
	t, err := trantornet.New(trantornet.Config{
		Node: id, Self: self, SystemID: loopbackSystem, Key: w.keys[id], Listen: w.config.Members[id].Addr,
		Codec: replica.NewCodec(), Peers: w.config.Members,
	})
	if err != nil {
		return nil, err
	}
	return &transport{Transport: t}, nil
}

// transport is a replica's end of the loopback network.
type transport struct {
	*trantornet.Transport
}

// Close frees a transport that may never have run; stopping again does nothing.
func (t *transport) Close() error {
	t.Stop()
	return nil
}
