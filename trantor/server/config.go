package server

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// Version is the version of the configuration file that this package reads.
const Version = 1

// Config of one replica.
type Config struct {
	// System names the replicated system: replicas of different systems refuse
	// each other, and all that is signed is bound to it (replica.Config.System).
	// 1 to 128 bytes.
	System string
	Node   types.NodeID
	// KeyFile is the replica's private key (crypto.LoadKey).
	KeyFile string
	// Data is the directory of the store; where it is empty nothing outlives
	// the process, and a replica that restarts must be given a new identity.
	Data   string
	Listen Listen
	// Members are those of genesis. A replica that joins later is none of them.
	Members     []Member
	Application string // A key of Applications.
	Params      replica.Params
	Limits      Limits
	// Pprof serves profiles at the administrator's address.
	Pprof bool
	// Trace is a file that gets a recording of what the node applies (trantor
	// trace); empty for none.
	Trace string
}

// Listen is where a replica listens, host:port each; port 0 takes a free one.
type Listen struct {
	Replicas string
	Clients  string // Empty to serve no clients.
	Admin    string // Empty to serve no administrator.
}

// Member is one replica of genesis.
type Member struct {
	Node     types.NodeID
	Weight   uint64
	Key      ed25519.PublicKey
	Replicas string // Where other replicas reach it, host:port.
	Clients  string // Where clients reach it; for clients only.
}

// Limits bound what clients can make a replica hold.
type Limits struct {
	Clients       int // Streams of clients.
	InFlight      int // Transactions of one stream without an answer.
	RequestBytes  int // One request.
	AnswerBytes   int // Answers that one client has not read.
	RecentResults int // Results kept for clients that ask after the delivery,
	RecentBytes   int // and their bytes.
	// Drain is how long a server that stops waits for its clients' answers.
	Drain time.Duration
}

// DefaultLimits suit a replica with some gigabytes of memory: the worst that
// clients can do is 256 streams of one request of 8 MiB and 16 MiB of unread
// answers each, 6 GiB, beside what the mempool holds (Params.PendingBytesMax).
func DefaultLimits() Limits {
	return Limits{
		Clients: 256, InFlight: 4096, RequestBytes: 8<<20 + 1, AnswerBytes: 16 << 20,
		RecentResults: 1 << 16, RecentBytes: 64 << 20, Drain: 5 * time.Second,
	}
}

func (l Limits) check() error {
	if min(l.Clients, l.InFlight, l.RequestBytes, l.AnswerBytes, l.RecentResults, l.RecentBytes) < 1 || l.Drain < 0 {
		return fmt.Errorf("limits %+v: want all at least 1, and no drain below 0", l)
	}
	return nil
}

// Applications are what a server can replicate, by name.
var Applications = map[string]func() app.Application{
	"kv":    func() app.Application { return app.NewKV() },
	"chain": func() app.Application { return &app.Chain{} },
}

// Genesis is the configuration of the system at its beginning.
func (c Config) Genesis() types.Configuration {
	var g types.Configuration
	for _, m := range c.Members {
		g.Members = append(g.Members, types.Member{Node: m.Node, Weight: m.Weight, Key: m.Key, Addr: m.Replicas})
	}
	return g
}

// Load reads a configuration file. Relative paths in it begin at its folder.
func Load(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("reading the configuration: %w", err)
	}
	cfg, err := Parse(path, data)
	if err != nil {
		return Config{}, err
	}
	for _, p := range []*string{&cfg.KeyFile, &cfg.Data, &cfg.Trace} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(filepath.Dir(path), *p)
		}
	}
	return cfg, nil
}

// Check reports the first setting that cannot work.
func (c Config) Check() error {
	switch {
	case len(c.System) == 0 || len(c.System) > 128:
		return fmt.Errorf("system has %d bytes, want 1 to 128", len(c.System))
	case c.KeyFile == "":
		return errors.New("key names no file")
	case c.Listen.Replicas == "":
		return errors.New("listen.replicas is missing")
	case Applications[c.Application] == nil:
		return fmt.Errorf("application %q: want kv or chain", c.Application)
	}
	for _, addr := range []string{c.Listen.Replicas, c.Listen.Clients, c.Listen.Admin} {
		if err := checkAddr(addr); addr != "" && err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	if err := c.checkMembers(); err != nil {
		return err
	}
	return c.Limits.check()
}

func (c Config) checkMembers() error {
	if len(c.Members) > types.MaxReplicas {
		return fmt.Errorf("members: %d of them, limit %d", len(c.Members), types.MaxReplicas)
	}
	for i, m := range c.Members {
		switch {
		case m.Node != types.NodeID(i):
			return fmt.Errorf("members: number %d is replica %d; want them in order, from 0", i+1, m.Node)
		case m.Weight == 0:
			return fmt.Errorf("members: replica %d has weight 0", i)
		case len(m.Key) != ed25519.PublicKeySize:
			return fmt.Errorf("members: replica %d has no key", i)
		}
		if err := checkAddr(m.Replicas); err != nil {
			return fmt.Errorf("members: replica %d: replicas: %w", i, err)
		}
	}
	if _, err := c.Genesis().Quorums(); err != nil {
		return fmt.Errorf("members: %w", err)
	}
	return nil
}

func checkAddr(addr string) error {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return fmt.Errorf("%q is no host:port", addr)
	}
	return nil
}
