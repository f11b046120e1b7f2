package server

import (
	"cmp"
	"crypto/ed25519"
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

	"go.yaml.in/yaml/v3"

	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
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
		text, err := plan.configText(members, admins[i], i)
		if err != nil {
			return err
		}
		if err := writeConfig(ConfigPath(dir, types.NodeID(i)), text); err != nil {
			return err
		}
	}
	text, err := plan.membersText(members)
	if err != nil {
		return err
	}
	return writeNew(filepath.Join(dir, MembersFile), text)
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
	case slices.Contains(p.Weights, 0):
		return nil, nil, fmt.Errorf("weights %v: want all 1 or more", p.Weights)
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
	settings := replica.DefaultParams(p.Replicas)
	parser := parser{name: "params"}
	if text.Len() > 0 {
		doc, err := parser.document([]byte(text.String()))
		if err != nil {
			return err
		}
		if err := parser.decode(doc, reflect.ValueOf(&settings).Elem(), "params"); err != nil {
			return err
		}
	}
	weights := p.Weights
	if weights == nil {
		weights = slices.Repeat([]uint64{1}, p.Replicas)
	}
	membership, err := quorum.New(weights)
	if err != nil {
		return err
	}
	return settings.Validate(membership)
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

// planFile and its parts are how a configuration file is written; see file for how
// it is read.
type planFile struct {
	Version     int               `yaml:"version"`
	System      string            `yaml:"system"`
	Node        *int              `yaml:"node,omitempty"`
	Key         string            `yaml:"key,omitempty"`
	Data        string            `yaml:"data,omitempty"`
	Application string            `yaml:"application"`
	Listen      *Listen           `yaml:"listen,omitempty"`
	Pprof       bool              `yaml:"pprof,omitempty"`
	Params      map[string]string `yaml:"params,omitempty"`
	Members     []planMember      `yaml:"members"`
}

type planMember struct {
	Node     types.NodeID `yaml:"node"`
	Weight   uint64       `yaml:"weight"`
	Key      string       `yaml:"key"`
	Replicas string       `yaml:"replicas"`
	Clients  string       `yaml:"clients"`
}

func (p Plan) file(members []Member) planFile {
	f := planFile{Version: Version, System: p.System, Application: p.Application}
	for _, m := range members {
		f.Members = append(f.Members, planMember{m.Node, m.Weight, crypto.PublicKeyText(m.Key), m.Replicas, m.Clients})
	}
	return f
}

func (p Plan) configText(members []Member, admin string, i int) (string, error) {
	f := p.file(members)
	f.Node, f.Key, f.Pprof, f.Params = &i, KeyFile, p.Pprof, p.Params
	f.Listen = &Listen{Replicas: members[i].Replicas, Clients: members[i].Clients, Admin: admin}
	if p.Durable {
		f.Data = dataDir
	}
	return f.text(fmt.Sprintf("# Replica %d of a system. See docs/OPERATIONS.md.\n", i))
}

func (p Plan) membersText(members []Member) (string, error) {
	return p.file(members).text("# What clients of a system need to know. See docs/OPERATIONS.md.\n")
}

func (f planFile) text(title string) (string, error) {
	text, err := yaml.Marshal(f)
	return title + string(text), err
}

// Members is a MembersFile.
type Members struct {
	System      string
	Application string
	Members     []Member
}

// LoadMembers reads a MembersFile. Of a configuration file it takes what a
// MembersFile has, so that clients can use either. Its members may be later ones
// than those of genesis: those who left may be missing, or have the weight 0, and
// are left out.
func LoadMembers(path string) (Members, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Members{}, fmt.Errorf("reading the members: %w", err)
	}
	cfg, err := parse(path, data)
	if err != nil {
		return Members{}, err
	}
	members := Members{System: cfg.System, Application: cfg.Application}
	if members.Members, err = current(cfg.Members); err != nil {
		return Members{}, atLine(path, data, wrong("members", err))
	}
	return members, nil
}

// current are the members that have votes.
func current(all []Member) (members []Member, err error) {
	for i, m := range all {
		switch {
		case i > 0 && m.Node <= all[i-1].Node:
			return nil, fmt.Errorf("replica %d after replica %d; want them in order", m.Node, all[i-1].Node)
		case m.Weight == 0:
			continue
		case len(m.Key) != ed25519.PublicKeySize:
			return nil, fmt.Errorf("replica %d has no key", m.Node)
		}
		if err := checkAddr(m.Clients); err != nil {
			return nil, fmt.Errorf("replica %d: clients: %w", m.Node, err)
		}
		members = append(members, m)
	}
	if len(members) == 0 {
		return nil, errors.New("none")
	}
	return members, nil
}
