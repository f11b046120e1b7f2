// Package replica wires the modules of one Trantor replica.
//
// A replica is a table of passive modules and nothing else: it has no clock, no
// network and no goroutine, so that the same table runs in a node with real
// ones and in simulation. Whoever runs it serves the modules Net and Timer, and
// passes a module for results.
//
// The package's one opinion is that module IDs are the same on every replica:
// they are interned here, in one fixed order, and travel in messages.
package replica

import (
	"fmt"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/availability"
	"github.com/perfgate/perfgate/trantor/checkpoint"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/delivery"
	"github.com/perfgate/perfgate/trantor/mempool"
	"github.com/perfgate/perfgate/trantor/ordering/iss"
	"github.com/perfgate/perfgate/trantor/ordering/pbft"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/statetransfer"
	"github.com/perfgate/perfgate/trantor/types"
)

// Config of one replica.
type Config struct {
	Node types.NodeID
	// Genesis is who the replicas are in the first epochs, until a transaction
	// changes it. A replica that is to join need not be in it.
	Genesis types.Configuration
	// System is the system's name, which everything that the replica signs is
	// bound to (crypto.NewBound): all replicas have the same, and no two systems
	// with a key in common may share one. Whoever signs for a replica outside of
	// it, as for a vote on the configuration, binds to it too. Empty binds to
	// nothing, for simulations, whose keys are of one run.
	System string
	Crypto crypto.Crypto
	App    app.Application
	Params Params

	// Durable says that whoever runs the replica serves the module Store: it
	// makes each types.Persist durable. Without, the replica serves it itself
	// and nothing outlives it.
	Durable bool
	// Records is what the store holds of an earlier run, in ascending order of
	// the keys: the replica goes on from there. None begins at genesis. A replica
	// whose store lost what it had confirmed is a faulty one.
	Records []types.Record

	// Results gets types.SubmitResult, types.Delivered, types.StableCheckpoint,
	// types.EpochConfig and types.Restored. Nil for none.
	Results mir.Module
}

// IDs of the modules, the same on every replica.
type IDs struct {
	Net, Timer, Results             mir.ModuleID
	Mempool, Availability, Ordering mir.ModuleID
	Delivery, Checkpoint            mir.ModuleID
	Store, StateTransfer            mir.ModuleID
}

// intern names the modules, always in the same order.
func intern(names *mir.Names) IDs {
	return IDs{
		Net:          names.Intern("net"),
		Timer:        names.Intern("timer"),
		Results:      names.Intern("results"),
		Mempool:      names.Intern("mempool"),
		Availability: names.Intern("availability"),
		Ordering:     names.Intern("ordering"),
		Delivery:     names.Intern("delivery"),
		Checkpoint:   names.Intern("checkpoint"),

		Store:         names.Intern("store"),
		StateTransfer: names.Intern("statetransfer"),
	}
}

// Replica is the wired modules.
type Replica struct {
	Names *mir.Names
	IDs   IDs
	// Modules is the table for a node, without Net and Timer.
	Modules []mir.Registration

	app          app.Application
	mempool      *mempool.Mempool
	availability *availability.Availability
	ordering     *iss.Log
	pbft         *pbft.Stats
	delivery     *delivery.Delivery
	checkpoint   *checkpoint.Checkpoint
	transfer     *statetransfer.StateTransfer
	misdirected  uint64 // messages of peers to the store and to the results
	restored     *types.Restored
}

// New wires a replica where its records left off, or at the beginning of the log.
func New(cfg Config) (*Replica, error) {
	if cfg.System != "" {
		cfg.Crypto = crypto.NewBound(cfg.Crypto, cfg.System)
	}
	r := &Replica{Names: &mir.Names{}, app: cfg.App, pbft: &pbft.Stats{}}
	r.IDs = intern(r.Names)
	members, err := cfg.Genesis.Quorums()
	if err != nil {
		return nil, fmt.Errorf("wiring replica %d: %w", cfg.Node, err)
	}
	c := r.configs(cfg, members)
	for _, err := range []error{
		cfg.Params.Validate(members), c.mempool.Validate(), c.availability.Validate(), c.ordering.Validate(), c.delivery.Validate(),
		c.checkpoint.Validate(), c.transfer.Validate(),
	} {
		if err != nil {
			return nil, fmt.Errorf("wiring replica %d: %w", cfg.Node, err)
		}
	}
	r.mempool = mempool.New(c.mempool)
	r.availability = availability.New(c.availability)
	r.ordering = iss.New(c.ordering)
	r.delivery = delivery.New(c.delivery)
	r.checkpoint = checkpoint.New(c.checkpoint)
	r.transfer = statetransfer.New(c.transfer)
	if err := r.recover(cfg.Records); err != nil {
		return nil, fmt.Errorf("recovering replica %d: %w", cfg.Node, err)
	}
	r.Modules = []mir.Registration{
		{ID: r.IDs.Mempool, Module: r.mempool},
		{ID: r.IDs.Availability, Module: r.availability},
		{ID: r.IDs.Ordering, Module: r.ordering},
		{ID: r.IDs.Delivery, Module: r.delivery},
		{ID: r.IDs.Checkpoint, Module: r.checkpoint},
		{ID: r.IDs.StateTransfer, Module: r.transfer},
	}
	if !cfg.Durable {
		r.Modules = append(r.Modules, mir.Registration{ID: r.IDs.Store, Module: r.ownOnly(mir.ModuleFunc(volatile))})
	}
	if cfg.Results != nil {
		r.Modules = append(r.Modules, mir.Registration{ID: r.IDs.Results, Module: r.ownOnly(cfg.Results)})
	}
	return r, nil
}

// ownOnly keeps messages of peers, which mean mischief, from a module that has
// no business with them. An active module cannot be reached by peers anyway.
func (r *Replica) ownOnly(m mir.Module) mir.Module {
	if _, active := m.(mir.Active); active {
		return m
	}
	return mir.ModuleFunc(func(ev mir.Event, out *mir.Out) {
		if _, peer := ev.Body.(mir.Received); peer {
			r.misdirected++
			return
		}
		m.Apply(ev, out)
	})
}

// volatile is the store of a replica that is not durable.
func volatile(ev mir.Event, out *mir.Out) {
	persist, ok := ev.Body.(types.Persist)
	if !ok {
		panic(fmt.Sprintf("replica: invariant broken: the store got %s", ev.Body.EventName()))
	}
	for _, then := range persist.Then {
		out.EmitSub(then.To, then.Sub, then.Body)
	}
}

// Boot is what whoever runs the replica injects before anything else.
func (r *Replica) Boot() []mir.Event {
	var events []mir.Event
	for _, id := range []mir.ModuleID{r.IDs.Mempool, r.IDs.Availability, r.IDs.Ordering, r.IDs.Delivery, r.IDs.Checkpoint, r.IDs.StateTransfer} {
		events = append(events, mir.Event{To: id, Body: types.Boot{}})
	}
	return events
}

// storingBytesMax is how many bytes of peers' batches may be on their way to the
// disk, but for one batch of each: a quarter of what the store takes before it gives
// up (1 GiB). The rest is room for the own batches, which clients make and the store
// holds up, and for votes.
const storingBytesMax = 256 << 20

// configs are those of the modules.
type configs struct {
	mempool      mempool.Config
	availability availability.Config
	ordering     iss.Config
	delivery     delivery.Config
	checkpoint   checkpoint.Config
	transfer     statetransfer.Config
}

func (r *Replica) configs(cfg Config, members quorum.Membership) configs {
	ids, p := r.IDs, cfg.Params
	checkVote := func(payload []byte, replicas int) error { return delivery.CheckVote(cfg.Crypto, payload, replicas) }
	results, stable := ids.Results, []mir.ModuleID{ids.Ordering, ids.StateTransfer, ids.Results}
	// Ordering is the last to know: what it does then reaches modules that know too.
	watchers := []mir.ModuleID{ids.Mempool, ids.Availability, ids.Checkpoint, ids.StateTransfer, ids.Ordering}
	if cfg.Results == nil {
		results, stable = 0, stable[:2]
	} else {
		watchers = append(watchers, ids.Results)
	}
	return configs{
		mempool: mempool.Config{
			Self: ids.Mempool, Net: ids.Net, Timer: ids.Timer,
			Availability: ids.Availability, Ordering: ids.Ordering, Results: results,
			Node: cfg.Node, Members: members, ConfigDelay: p.ConfigDelay(),
			BatchTxsMax: p.BatchTxsMax, BatchBytesMax: p.BatchBytesMax, BatchTimeout: p.BatchTimeout,
			CloseWhenIdle: p.CloseWhenIdle, PayloadBytesMax: p.PayloadBytesMax,
			PendingBytesMax: p.PendingBytesMax, ForwardedBytesMax: p.ForwardedBytesMax,
			WindowSize: p.ClientWindow, ClientsMax: p.ClientsMax, CheckVote: checkVote,
			Buckets: p.Buckets, RetryAfter: p.RetryAfter,
		},
		availability: availability.Config{
			Self: ids.Availability, Net: ids.Net, Timer: ids.Timer, Store: ids.Store,
			Mempool: ids.Mempool, Ordering: ids.Ordering, Delivery: ids.Delivery,
			Node: cfg.Node, Members: members, ConfigDelay: p.ConfigDelay(), Crypto: cfg.Crypto,
			BatchBytesMax: p.BatchBytesMax, WindowSize: p.BatchWindow, HeldBytesMax: p.PendingBytesMax, StoringBytesMax: storingBytesMax,
			Buckets: p.Buckets, CheckVote: checkVote, BucketGrace: p.BucketGrace, KeepEpochs: p.KeepEpochs, RetryAfter: p.RetryAfter,
		},
		ordering: iss.Config{
			Node: cfg.Node, Members: members, ConfigDelay: p.ConfigDelay(),
			Self: ids.Ordering, Net: ids.Net, Timer: ids.Timer, Store: ids.Store,
			Mempool: ids.Mempool, Availability: ids.Availability, Delivery: ids.Delivery, Checkpoint: ids.Checkpoint,
			NewInstance: r.newInstance(cfg), CheckRecord: pbft.CheckRecord,
			VerifyCert: func(m quorum.Membership, c types.Certificate) error {
				return availability.VerifyCert(m, cfg.Crypto, c)
			},
			Policy: p.LeaderPolicy, EpochLength: p.EpochLength, MaxCertsPerSlot: p.CertsPerSlotMax, OwnInFlightMax: p.OwnInFlightMax,
			EpochsAheadMax: p.EpochsAheadMax, KeepEpochs: p.KeepEpochs, HeartbeatAfter: p.HeartbeatAfter,
			BufferedMax: p.EarlyMessageMax, BufferedBytesMax: p.EarlyBytesMax, HandedMax: p.HandedMax,
		},
		delivery: delivery.Config{
			Self: ids.Delivery, Mempool: ids.Mempool, Availability: ids.Availability, Checkpoint: ids.Checkpoint,
			Transfer: ids.StateTransfer, Results: results, Configs: watchers, App: cfg.App, Crypto: cfg.Crypto,
			Genesis: cfg.Genesis, ConfigDelay: p.ConfigDelay(), MembersMax: min(p.EpochLength, types.MaxReplicas), CheckMembers: p.checkSegments,
			ClientWindow: p.ClientWindow, BatchWindow: p.BatchWindow, ClientsMax: p.ClientsMax,
			ClientOrder: p.ClientOrder, KeptBytesMax: p.KeptBytesMax,
			SlotsFetchingMax: p.SlotsFetchingMax, SlotsQueuedMax: p.SlotsQueuedMax,
		},
		checkpoint: checkpoint.Config{
			Node: cfg.Node, Genesis: cfg.Genesis, ConfigDelay: p.ConfigDelay(), Crypto: cfg.Crypto,
			Self: ids.Checkpoint, Net: ids.Net, Timer: ids.Timer, Store: ids.Store, Transfer: ids.StateTransfer, Ordering: ids.Ordering, Availability: ids.Availability,
			Stable: stable, EpochsAheadMax: p.EpochsAheadMax, ResendAfter: p.ResendAfter,
		},
		transfer: statetransfer.Config{
			Node: cfg.Node, Self: ids.StateTransfer, Net: ids.Net, Timer: ids.Timer, Delivery: ids.Delivery, Checkpoint: ids.Checkpoint,
			ConfigDelay: p.ConfigDelay(), RetryAfter: p.RetryAfter,
			CatchUpAfter:      p.CatchUpAfter,
			ChunksInFlightMax: p.ChunksInFlightMax, ServeChunksMax: p.ServeChunksMax,
		},
	}
}

// newInstance makes PBFT the agreement of a segment. A proposal is valid if its
// certificates are.
func (r *Replica) newInstance(cfg Config) func(types.Segment, quorum.Membership, int, mir.SubID) iss.Instance {
	return func(segment types.Segment, members quorum.Membership, doublings int, sub mir.SubID) iss.Instance {
		return pbft.New(pbft.Config{
			Node: cfg.Node, Members: members, Crypto: cfg.Crypto,
			Log: r.IDs.Ordering, Net: r.IDs.Net, Timer: r.IDs.Timer, Store: r.IDs.Store,
			CertsMax: cfg.Params.CertsPerSlotMax,
			Timeout:  cfg.Params.ViewTimeout << doublings, ResendAfter: cfg.Params.ResendAfter, Stats: r.pbft,
			Validate: func(p types.Proposal) error {
				for _, cert := range p.Certs {
					if err := availability.VerifyCert(members, cfg.Crypto, cert); err != nil {
						return err
					}
				}
				return nil
			},
		}, segment, sub)
	}
}

// NewCodec is the wire format of all messages that replicas exchange.
func NewCodec() *types.Codec {
	codec := &types.Codec{}
	mempool.RegisterMessages(codec)
	availability.RegisterMessages(codec)
	pbft.RegisterMessages(codec)
	iss.RegisterMessages(codec)
	checkpoint.RegisterMessages(codec)
	statetransfer.RegisterMessages(codec)
	return codec
}

// Stats is what the modules counted.
type Stats struct {
	Mempool      mempool.Stats
	Availability availability.Stats
	Ordering     iss.Stats
	PBFT         pbft.Stats
	Delivery     delivery.Stats
	Checkpoint   checkpoint.Stats
	Transfer     statetransfer.Stats
	Epoch        types.Epoch // the current one
	BatchesHeld  int         // delivered and not yet freed, or not delivered
	Behind       bool        // delivery missed positions: only state transfer helps
	Misaddressed uint64      // messages of peers to the mempool, the store or the results
}

// Stats may be called between two events, on the goroutine that applies them.
func (r *Replica) Stats() Stats {
	return Stats{
		Mempool:      r.mempool.Stats(),
		Availability: r.availability.Stats(),
		Ordering:     r.ordering.Stats(),
		PBFT:         *r.pbft,
		Delivery:     r.delivery.Stats(),
		Checkpoint:   r.checkpoint.Stats(),
		Transfer:     r.transfer.Stats(),
		Epoch:        r.ordering.Epoch(),
		BatchesHeld:  r.availability.Held(),
		Behind:       r.delivery.Behind(),
		Misaddressed: r.mempool.Misaddressed() + r.misdirected,
	}
}

// CatchingUp tells whether a stable checkpoint is ahead of the latest one whose
// state this replica holds, and whether it is fetching a snapshot, under the same
// condition as Stats.
func (r *Replica) CatchingUp() (behind, fetching bool) {
	stable, any := r.checkpoint.Stable()
	held, _, some := r.checkpoint.Held()
	_, fetching = r.transfer.Fetching()
	return any && (!some || held.Epoch < stable.Epoch), fetching
}

// AppHash is the digest of the application's state, under the same condition
// as Stats.
func (r *Replica) AppHash() types.Digest { return r.app.Hash() }
