package server

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/perfgate/perfgate/trantor/app"
	trantornet "github.com/perfgate/perfgate/trantor/net"
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
	Net         trantornet.Limits // Of what one peer, or a stranger at the replicas' address, can do.
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
	Clients       int // Streams of clients, and their connections.
	FromOneHost   int // Of the connections.
	InFlight      int // Transactions of one stream without an answer.
	RequestBytes  int // One request.
	AnswerBytes   int // Answers that one client has not read.
	RecentResults int // Results kept for clients that ask after the delivery,
	RecentBytes   int // and their bytes.
	// Drain is how long a server that stops waits for its clients' answers.
	Drain time.Duration
}

// DefaultLimits suit a replica with a few gigabytes of memory: the worst that
// clients can do is 128 streams of one request of 8 MiB and 4 MiB of unread
// answers each, 1.5 GiB, beside what the mempool holds (Params.PendingBytesMax).
// One host has a quarter of the connections, so that it takes four to shut others
// out.
func DefaultLimits() Limits {
	return Limits{
		Clients: 128, FromOneHost: 32, InFlight: 4096, RequestBytes: 8<<20 + 1, AnswerBytes: 4 << 20,
		RecentResults: 1 << 16, RecentBytes: 64 << 20, Drain: 5 * time.Second,
	}
}

func (l Limits) check() error {
	all := reflect.ValueOf(l)
	for i := range all.NumField() {
		name, least := keyOf(all.Type().Field(i).Name), int64(1)
		if name == "drain" {
			least = 0
		}
		if f := all.Field(i); f.Int() < least {
			return wrong("limits."+name, fmt.Errorf("%v, want %d or more", f.Interface(), least))
		}
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

// settingError is a setting that cannot work.
type settingError struct {
	path string // Its keys, with dots between them.
	err  error
}

func (e *settingError) Error() string { return e.path + ": " + e.err.Error() }
func (e *settingError) Unwrap() error { return e.err }

func wrong(path string, err error) error { return &settingError{path, err} }

// Check reports the first setting that cannot work.
func (c Config) Check() error {
	switch {
	case len(c.System) == 0 || len(c.System) > 128:
		return wrong("system", fmt.Errorf("%d bytes, want 1 to 128", len(c.System)))
	case c.KeyFile == "":
		return wrong("key", errors.New("it names no file"))
	case c.Listen.Replicas == "":
		return wrong("listen.replicas", errors.New("it is missing"))
	case Applications[c.Application] == nil:
		return wrong("application", fmt.Errorf("%q: want kv or chain", c.Application))
	}
	for _, l := range [...]struct{ path, addr string }{
		{"listen.replicas", c.Listen.Replicas}, {"listen.clients", c.Listen.Clients}, {"listen.admin", c.Listen.Admin},
	} {
		if err := checkAddr(l.addr); l.addr != "" && err != nil {
			return wrong(l.path, err)
		}
	}
	if err := c.checkMembers(); err != nil {
		return wrong("members", err)
	}
	membership, err := c.Genesis().Quorums()
	if err != nil {
		return wrong("members", err)
	}
	if err := c.Params.Validate(membership); err != nil {
		return wrong("params", err)
	}
	if err := c.Net.Validate(); err != nil {
		return wrong("net", err)
	}
	return c.Limits.check()
}

// checkMembers: those of genesis are numbered from 0.
func (c Config) checkMembers() error {
	if len(c.Members) > types.MaxReplicas {
		return fmt.Errorf("%d of them, limit %d", len(c.Members), types.MaxReplicas)
	}
	for i, m := range c.Members {
		switch {
		case m.Node != types.NodeID(i):
			return fmt.Errorf("number %d is replica %d; want them in order, from 0", i+1, m.Node)
		case m.Weight == 0:
			return fmt.Errorf("replica %d has weight 0", i)
		case len(m.Key) != ed25519.PublicKeySize:
			return fmt.Errorf("replica %d has no key", i)
		}
		if err := checkAddr(m.Replicas); err != nil {
			return fmt.Errorf("replica %d: replicas: %w", i, err)
		}
	}
	return nil
}

func checkAddr(addr string) error {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return fmt.Errorf("%q is no host:port", addr)
	}
	return nil
}
