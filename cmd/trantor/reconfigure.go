package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/perfgate/perfgate/trantor/client"
	"github.com/perfgate/perfgate/trantor/cluster"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/delivery"
	"github.com/perfgate/perfgate/trantor/mempool"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/server"
	"github.com/perfgate/perfgate/trantor/types"
)

// join writes the key and the configuration of a replica that is to join.
func join(args []string, stdout io.Writer) error {
	flags := newFlags("join", "", stdout)
	from := flags.String("from", "", "the configuration `file` of a replica of the system (required)")
	dir := flags.String("dir", "", "the `folder` to write to (required)")
	id := flags.Uint("node", 0, "the new replica's `number`: the least that no replica ever had (required)")
	var listen server.Listen
	flags.StringVar(&listen.Replicas, "replicas", "", "where it listens for replicas, `host:port`; a free port of this machine if empty")
	flags.StringVar(&listen.Clients, "clients", "", "the same for clients")
	flags.StringVar(&listen.Admin, "admin", "", "the same for its administrator")
	if _, err := parse(flags, args, 0); err != nil {
		return err
	}
	switch {
	case *from == "":
		return errors.New("join: no --from FILE given")
	case *dir == "":
		return errors.New("join: no --dir FOLDER given")
	case *id == 0:
		return errors.New("join: no --node NUMBER given, or 0; want the least that no replica ever had")
	case *id >= types.MaxReplicas:
		return fmt.Errorf("join: --node %d: want 1 to %d", *id, types.MaxReplicas-1)
	}
	m, err := server.Join(*from, *dir, types.NodeID(*id), listen)
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	_, err = fmt.Fprintf(stdout, "replica %d: %s\nto vote for it: trantor reconfigure --config FILE --join %d --key %s --addr %s\n",
		m.Node, server.ConfigPath(*dir, m.Node), m.Node, crypto.PublicKeyText(m.Key), m.Replicas)
	return err
}

// change is what reconfigure is asked for.
type change struct {
	configs             []string
	members             string // A file; empty for what the first configuration knows.
	join, leave, adjust int    // The replica; -1 where it is not this.
	key, addr           string
	weight              uint64
	weightGiven         bool
	timeout             time.Duration
}

// reconfigure casts the votes of members for a change of the configuration.
func reconfigure(args []string, stdout io.Writer) error {
	c, err := changeFlags(args, stdout)
	if err != nil {
		return err
	}
	var voters []server.Config
	for _, path := range c.configs {
		cfg, err := server.Load(path)
		if err != nil {
			return fmt.Errorf("reconfigure: %w", err)
		}
		voters = append(voters, cfg)
	}
	ctx, stop := untilSignal()
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	member, err := c.member(ctx, voters[0].Listen.Admin)
	if err != nil {
		return fmt.Errorf("reconfigure: %w", err)
	}
	members, err := c.clients(ctx, voters[0])
	if err != nil {
		return fmt.Errorf("reconfigure: %w", err)
	}
	replicas, err := client.Dial(ctx, cluster.ClientMembers(members), client.Options{})
	if err != nil {
		return exitError{exitUnavailable, fmt.Errorf("reconfigure: %w", err)}
	}
	err = cast(ctx, replicas, voters, member, stdout)
	if closeErr := replicas.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return exitError{exitUnavailable, fmt.Errorf("reconfigure: %w", err)}
	}
	return nil
}

func changeFlags(args []string, stdout io.Writer) (*change, error) {
	c := &change{}
	flags := newFlags("reconfigure", "", stdout)
	flags.Func("config", "the configuration `file` of a member, which votes with its key (required; may be repeated)", func(path string) error {
		c.configs = append(c.configs, path)
		return nil
	})
	flags.StringVar(&c.members, "members", "", "members.yml, where clients reach the members of today; the configuration's, less those that left, if empty")
	flags.IntVar(&c.join, "join", -1, "the `replica` shall become a member; wants --key and --addr")
	flags.IntVar(&c.leave, "leave", -1, "the `replica` shall leave for good")
	flags.IntVar(&c.adjust, "change", -1, "the `replica` shall have another --weight or --addr")
	flags.StringVar(&c.key, "key", "", "the replica's public `key`")
	flags.StringVar(&c.addr, "addr", "", "where other replicas reach it, `host:port`")
	flags.Uint64Var(&c.weight, "weight", 1, "its votes")
	flags.DurationVar(&c.timeout, "timeout", time.Minute, "how long the votes may take")
	if _, err := parse(flags, args, 0); err != nil {
		return nil, err
	}
	flags.Visit(func(f *flag.Flag) { c.weightGiven = c.weightGiven || f.Name == "weight" })
	return c, c.check()
}

func (c *change) check() error {
	asked := 0
	for _, id := range []int{c.join, c.leave, c.adjust} {
		if id >= types.MaxReplicas {
			return fmt.Errorf("reconfigure: replica %d, limit %d", id, types.MaxReplicas-1)
		}
		if id >= 0 {
			asked++
		}
	}
	switch {
	case len(c.configs) == 0:
		return errors.New("reconfigure: no --config FILE given")
	case asked != 1:
		return errors.New("reconfigure: want one of --join, --leave and --change")
	case c.join >= 0 && (c.key == "" || c.addr == ""):
		return errors.New("reconfigure: --join wants --key and --addr; trantor join shows them")
	case c.join < 0 && c.key != "":
		return errors.New("reconfigure: --key: a replica keeps its key for ever")
	case c.adjust >= 0 && c.addr == "" && !c.weightGiven:
		return errors.New("reconfigure: --change wants --weight or --addr")
	case c.weightGiven && c.weight == 0:
		return errors.New("reconfigure: --weight 0: use --leave")
	}
	return nil
}

// clients are the members of today as clients know them: those of the file that
// was given, or those of genesis with the votes that the voter's replica knows of.
func (c *change) clients(ctx context.Context, voter server.Config) ([]server.Member, error) {
	if c.members != "" {
		file, err := server.LoadMembers(c.members)
		return file.Members, err
	}
	if voter.Listen.Admin == "" {
		return voter.Members, nil
	}
	status, err := server.AskStatus(ctx, voter.Listen.Admin, false)
	if err != nil {
		return nil, exitError{exitUnavailable, err}
	}
	return today(voter.Members, status)
}

// today are the members of genesis that still are members. It is an error where
// they tolerate fewer faults than all members do: then too few would be believed.
func today(genesis []server.Member, status server.Status) (known []server.Member, err error) {
	var all, reached []uint64
	votes := map[types.NodeID]uint64{}
	for _, m := range status.Members {
		all, votes[m.Node] = append(all, m.Weight), m.Weight
	}
	for _, m := range genesis {
		if m.Weight = votes[m.Node]; m.Weight > 0 {
			known, reached = append(known, m), append(reached, m.Weight)
		}
	}
	whole, err := quorum.New(all)
	if err != nil {
		return nil, err
	}
	part, err := quorum.New(reached)
	if err != nil || part.FaultyMax() < whole.FaultyMax() {
		return nil, fmt.Errorf("%d of %d members were there at genesis: name a members.yml with all of today (--members)", len(known), whole.N())
	}
	return known, nil
}

// member is what the members vote for. Of a replica that is known it keeps what
// is not to change.
func (c *change) member(ctx context.Context, admin string) (types.Member, error) {
	if c.join >= 0 {
		key, err := crypto.ParsePublicKey(c.key)
		return types.Member{Node: types.NodeID(c.join), Weight: c.weight, Key: key, Addr: c.addr}, err
	}
	if admin == "" {
		return types.Member{}, fmt.Errorf("%s: the replica has no administrator's address (listen.admin) to ask for the members", c.configs[0])
	}
	status, err := server.AskStatus(ctx, admin, false)
	if err != nil {
		return types.Member{}, exitError{exitUnavailable, err}
	}
	id := max(c.leave, c.adjust)
	for _, m := range status.Members {
		if int(m.Node) != id {
			continue
		}
		key, err := crypto.ParsePublicKey(m.Key)
		if err != nil || c.leave >= 0 {
			return types.Member{Node: m.Node, Key: key, Addr: m.Addr}, err
		}
		weight := m.Weight
		if c.weightGiven {
			weight = c.weight
		}
		return types.Member{Node: m.Node, Weight: weight, Key: key, Addr: cmp.Or(c.addr, m.Addr)}, nil
	}
	return types.Member{}, fmt.Errorf("there is no replica %d", id)
}

// cast casts the votes. It is no success where one is not counted.
func cast(ctx context.Context, replicas *client.Client, voters []server.Config, member types.Member, stdout io.Writer) error {
	for _, voter := range voters {
		key, err := crypto.LoadKey(voter.KeyFile)
		if err != nil {
			return err
		}
		signer, err := crypto.NewEd25519(key, nil)
		if err != nil {
			return err
		}
		// A later vote has a higher number.
		vote := delivery.SignReconfig(crypto.NewBound(signer, voter.System), types.Reconfig{Voter: voter.Node, No: uint64(time.Now().UnixNano()), Change: member})
		result, err := order(ctx, replicas, vote)
		if err != nil {
			return fmt.Errorf("the vote of replica %d: %w", voter.Node, err)
		}
		switch result.Status {
		case types.ReconfigApplied:
			_, err := fmt.Fprintf(stdout, "replica %d: decided, in force from epoch %d on\n", voter.Node, result.Epoch)
			return err
		case types.ReconfigCounted:
			if _, err := fmt.Fprintf(stdout, "replica %d: counted, more votes are needed\n", voter.Node); err != nil {
				return err
			}
		default:
			return fmt.Errorf("the vote of replica %d is refused: %v", voter.Node, result.Status)
		}
	}
	return nil
}

// order submits a vote under the first number that nobody has used: all voters
// number the transactions of one client.
func order(ctx context.Context, replicas *client.Client, vote types.Reconfig) (types.ReconfigResult, error) {
	for no := types.TxNo(0); ; no++ {
		id := types.TxID{Client: types.ConfigClient, No: no}
		result, err := replicas.Submit(ctx, types.Tx{TxID: id, Payload: vote.Encode()})
		if errors.Is(err, mempool.ErrDelivered) {
			continue
		}
		if err != nil {
			return types.ReconfigResult{}, err
		}
		return types.DecodeReconfigResult(result.Data)
	}
}
