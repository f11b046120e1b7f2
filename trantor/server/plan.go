package server

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// Plan is a system to be set up: Init writes its keys and configuration files.
type Plan struct {
	System      string // Empty for a random name.
	Replicas    int
	Weights     []uint64 // Of the votes, one for each replica; nil for equal ones.
	Application string   // Empty for kv.
	Durable     bool
	Pprof       bool
	// Hosts are where the replicas run: one for all, or one for each. Empty for
	// this machine alone.
	Hosts []string
	// BasePort is the first port that is used: each replica needs three in a
	// row on its host. Zero takes ports that are free on this machine now.
	BasePort int
	// Params are settings that differ from the default, by key.
	Params map[string]string
}

// The names in a directory that Init wrote.
const (
	MembersFile = "members.yml"
	ConfigFile  = "trantor.yml"
	KeyFile     = "node.key"
	dataDir     = "data"
)

// ConfigPath is where Init puts the configuration file of a replica.
func ConfigPath(dir string, id types.NodeID) string {
	return filepath.Join(dir, fmt.Sprintf("node%d", id), ConfigFile)
}

// Init makes the keys of a system and writes, below dir, a folder for each
// replica with its key, its configuration file and its store, and MembersFile for
// clients.
// It overwrites nothing.
func Init(dir string, plan Plan) error {
	members, admins, err := plan.members()
	if err != nil {
		return err
	}
	if plan.System == "" {
		name := make([]byte, 8)
		_, _ = rand.Read(name) // It never fails.
		plan.System = hex.EncodeToString(name)
	}
	plan.Application = cmp.Or(plan.Application, "kv")
	if Applications[plan.Application] == nil {
		return fmt.Errorf("application %q: want kv or chain", plan.Application)
	}
	for i := range members {
		folder := filepath.Dir(ConfigPath(dir, types.NodeID(i)))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		key, err := crypto.GenerateKey(filepath.Join(folder, KeyFile))
		if err != nil {
			return err
		}
		members[i].Key = crypto.PublicKey(key)
	}
	for i := range members {
		if err := writeConfig(ConfigPath(dir, types.NodeID(i)), plan.configText(members, admins[i], i)); err != nil {
			return err
		}
	}
	return writeNew(filepath.Join(dir, MembersFile), plan.membersText(members))
}

// writeConfig writes the configuration file of a new replica, and makes its store.
func writeConfig(path, text string) error {
	if err := writeNew(path, text); err != nil {
		return err
	}
	cfg, err := Load(path)
	if err != nil {
		return err
	}
	return NewStore(cfg)
}

func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// members are the replicas without keys, and where each listens for its
// administrator: on loopback, wherever it runs.
func (p Plan) members() (members []Member, admins []string, err error) {
	hosts := p.Hosts
	if len(hosts) == 0 {
		hosts = []string{"127.0.0.1"}
	}
	switch {
	case p.Replicas < 1 || p.Replicas > types.MaxReplicas:
		return nil, nil, fmt.Errorf("%d replicas, want 1 to %d", p.Replicas, types.MaxReplicas)
	case p.Weights != nil && len(p.Weights) != p.Replicas:
		return nil, nil, fmt.Errorf("%d weights for %d replicas", len(p.Weights), p.Replicas)
	case len(hosts) != 1 && len(hosts) != p.Replicas:
		return nil, nil, fmt.Errorf("%d hosts for %d replicas, want 1 or %d", len(hosts), p.Replicas, p.Replicas)
	case p.BasePort == 0 && len(p.Hosts) > 0:
		return nil, nil, errors.New("hosts are named but no port: free ports can be found on this machine only")
	case p.BasePort < 0 || p.BasePort+3*p.Replicas > 1<<16:
		return nil, nil, fmt.Errorf("port %d: want 1 to %d for %d replicas", p.BasePort, 1<<16-3*p.Replicas, p.Replicas)
	}
	if err := p.checkParams(); err != nil {
		return nil, nil, err
	}
	ports, err := p.ports(len(hosts) > 1)
	if err != nil {
		return nil, nil, err
	}
	members = make([]Member, p.Replicas)
	for i := range members {
		admins = append(admins, net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[3*i+2])))
		host := hosts[i%len(hosts)]
		members[i] = Member{
			Node: types.NodeID(i), Weight: 1,
			Replicas: net.JoinHostPort(host, strconv.Itoa(ports[3*i])),
			Clients:  net.JoinHostPort(host, strconv.Itoa(ports[3*i+1])),
		}
		if p.Weights != nil {
			members[i].Weight = p.Weights[i]
		}
	}
	return members, admins, nil
}

// checkParams finds a wrong setting before it is in n files.
func (p Plan) checkParams() error {
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(p.Params)) {
		fmt.Fprintf(&text, "%s: %q\n", key, p.Params[key])
	}
	if text.Len() == 0 {
		return nil
	}
	settings := replica.DefaultParams(p.Replicas)
	parser := parser{name: "params"}
	doc, err := parser.document([]byte(text.String()))
	if err != nil {
		return err
	}
	return parser.decode(doc, reflect.ValueOf(&settings).Elem(), "params")
}

// ports are three for each replica.
func (p Plan) ports(apart bool) ([]int, error) {
	if p.BasePort == 0 {
		return FreePorts(3 * p.Replicas)
	}
	ports := make([]int, 3*p.Replicas)
	for i := range ports {
		ports[i] = p.BasePort + i
		if apart {
			ports[i] = p.BasePort + i%3
		}
	}
	return ports, nil
}

// Free ports are looked for below those that the system gives to outgoing
// connections (32768 and above by default), which could otherwise take one
// before the replica does.
const (
	portsFrom, portsTo = 15000, 32000
	portTries          = 1000
)

// FreePorts finds ports of the loopback interface that nobody listens at.
func FreePorts(n int) (ports []int, err error) {
	for range portTries + n {
		if len(ports) == n {
			break
		}
		at, randErr := rand.Int(rand.Reader, big.NewInt(portsTo-portsFrom))
		if randErr != nil {
			return nil, randErr
		}
		port := portsFrom + int(at.Int64())
		l, listenErr := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if listenErr != nil {
			err = listenErr
			continue
		}
		// Held until all are found, so that none comes twice.
		defer l.Close()
		ports = append(ports, port)
	}
	if len(ports) < n {
		return nil, fmt.Errorf("looking for %d free ports: %w", n, err)
	}
	return ports, nil
}

func (p Plan) configText(members []Member, admin string, i int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Replica %d of the system %s. See docs/OPERATIONS.md.\n", i, p.System)
	fmt.Fprintf(&b, "version: %d\nsystem: %s\nnode: %d\nkey: %s\n", Version, p.System, i, KeyFile)
	if p.Durable {
		fmt.Fprintf(&b, "data: %s\n", dataDir)
	}
	fmt.Fprintf(&b, "application: %s\n", p.Application)
	fmt.Fprintf(&b, "listen:\n  replicas: %s\n  clients: %s\n  admin: %s\n", members[i].Replicas, members[i].Clients, admin)
	if p.Pprof {
		b.WriteString("pprof: true\n")
	}
	if len(p.Params) > 0 {
		b.WriteString("params:\n")
		for _, key := range slices.Sorted(maps.Keys(p.Params)) {
			fmt.Fprintf(&b, "  %s: %s\n", key, p.Params[key])
		}
	}
	writeMembers(&b, members)
	return b.String()
}

func (p Plan) membersText(members []Member) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# What clients of the system %s need to know.\n", p.System)
	fmt.Fprintf(&b, "version: %d\nsystem: %s\napplication: %s\n", Version, p.System, p.Application)
	writeMembers(&b, members)
	return b.String()
}

func writeMembers(b *strings.Builder, members []Member) {
	b.WriteString("members:\n")
	for _, m := range members {
		fmt.Fprintf(b, "  - {node: %d, weight: %d, key: %q, replicas: %q, clients: %q}\n",
			m.Node, m.Weight, crypto.PublicKeyText(m.Key), m.Replicas, m.Clients)
	}
}

// Members is a MembersFile.
type Members struct {
	System      string
	Application string
	Members     []Member
}

// LoadMembers reads a MembersFile. Of a configuration file it takes what a
// MembersFile has, so that clients can use either.
func LoadMembers(path string) (Members, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Members{}, fmt.Errorf("reading the members: %w", err)
	}
	cfg, err := parse(path, data)
	if err != nil {
		return Members{}, err
	}
	if err := cfg.checkMembers(); err != nil {
		return Members{}, &FileError{File: path, Line: 1, Msg: err.Error()}
	}
	if len(cfg.Members) == 0 {
		return Members{}, &FileError{File: path, Line: 1, Msg: "members: none"}
	}
	for _, m := range cfg.Members {
		if err := checkAddr(m.Clients); err != nil {
			return Members{}, &FileError{File: path, Line: 1, Msg: fmt.Sprintf("members: replica %d: clients: %v", m.Node, err)}
		}
	}
	return Members{System: cfg.System, Application: cfg.Application, Members: cfg.Members}, nil
}
