package types

import (
	"fmt"

	"github.com/perfgate/perfgate/trantor/quorum"
)

// Member is one replica as the replicated configuration describes it.
type Member struct {
	Node   NodeID
	Weight uint64 // Zero for one that has left or not yet joined; its ID is never given to another.
	Key    []byte // Ed25519 public key; empty where keys are derived (simulation, one process).
	Addr   string // Where its peers reach it, host:port; empty inside one process.
}

// Configuration is who the replicas are. Members[i].Node is i.
type Configuration struct{ Members []Member }

// EqualConfiguration is n members of weight 1 without keys and addresses.
func EqualConfiguration(n int) Configuration {
	weights := make([]uint64, n)
	for i := range weights {
		weights[i] = 1
	}
	return WeightedConfiguration(weights)
}

// WeightedConfiguration is a member for each weight, without keys and addresses.
func WeightedConfiguration(weights []uint64) Configuration {
	var c Configuration
	for i, w := range weights {
		c.Members = append(c.Members, Member{Node: NodeID(i), Weight: w})
	}
	return c
}

// Quorums is the arithmetic over the members' weights.
func (c Configuration) Quorums() (quorum.Membership, error) {
	weights := make([]uint64, len(c.Members))
	for i, m := range c.Members {
		if m.Node != NodeID(i) {
			return quorum.Membership{}, fmt.Errorf("member %d is listed at position %d", m.Node, i)
		}
		weights[i] = m.Weight
	}
	return quorum.New(weights)
}

// EpochConfig: delivery -> all modules and results. It says who the members of
// Epoch are, once for each epoch, in ascending order, at the end of the epoch
// ConfigDelay before: a change that is delivered in epoch e takes effect in
// epoch e+ConfigDelay. Nothing of an epoch may be verified or signed before its
// configuration is known.
type EpochConfig struct {
	Epoch   Epoch
	Config  Configuration
	Members quorum.Membership // Config.Quorums()
}

// EpochBegun: ordering -> mempool, availability. Leaders are those that propose
// in Epoch, ascending; buckets are theirs (BucketOwner).
type EpochBegun struct {
	Epoch   Epoch
	Leaders []NodeID
}

// WantEpoch: mempool -> ordering. Transactions wait whose bucket belongs to a
// leader that does not order them, so the epoch shall end and buckets rotate.
type WantEpoch struct{ Epoch Epoch }

// BucketOf is the bucket of a client's transactions, of buckets in all. All
// transactions of one client are in one bucket, which keeps their order.
func BucketOf(client ClientID, buckets int) int {
	// Fibonacci hashing: consecutive client IDs spread evenly.
	return int((uint64(client) * 0x9e3779b97f4a7c15 >> 32) % uint64(buckets))
}

// BucketOwner is the leader whose batches may hold transactions of a bucket in
// an epoch: buckets move to the next leader with each epoch, so that none can
// keep a transaction out for long (ISS, section 3).
func BucketOwner(bucket int, e Epoch, leaders []NodeID) NodeID {
	return leaders[(uint64(bucket)+uint64(e))%uint64(len(leaders))]
}

// Schedule is which members each epoch has, as far as a replica knows.
type Schedule struct {
	first Epoch
	known []EpochConfig // Of first, first+1, …
}

// NewSchedule says that the epochs from first to first+n-1 have one
// configuration: at genesis, all that no transaction can influence.
func NewSchedule(first Epoch, n int, config Configuration) (*Schedule, error) {
	members, err := config.Quorums()
	if err != nil {
		return nil, err
	}
	s := &Schedule{first: first}
	for i := range n {
		s.known = append(s.known, EpochConfig{Epoch: first + Epoch(i), Config: config, Members: members})
	}
	return s, nil
}

// ScheduleOf takes configurations of consecutive epochs.
func ScheduleOf(configs []EpochConfig) *Schedule {
	s := &Schedule{known: append([]EpochConfig(nil), configs...)}
	if len(configs) > 0 {
		s.first = configs[0].Epoch
	}
	return s
}

// Add appends the configuration of the next epoch; one that is known already
// changes nothing. A gap is a broken invariant.
func (s *Schedule) Add(c EpochConfig) {
	switch next := s.first + Epoch(len(s.known)); {
	case c.Epoch < next:
	case c.Epoch == next:
		s.known = append(s.known, c)
	default:
		panic(fmt.Sprintf("types: invariant broken: configuration of epoch %d after that of %d", c.Epoch, next-1))
	}
}

// At is the configuration of an epoch. It reports false for one that is not
// known yet or was forgotten.
func (s *Schedule) At(e Epoch) (EpochConfig, bool) {
	if e < s.first || e-s.first >= Epoch(len(s.known)) {
		return EpochConfig{}, false
	}
	return s.known[e-s.first], true
}

// Last is the configuration of the latest epoch that is known.
func (s *Schedule) Last() EpochConfig { return s.known[len(s.known)-1] }

// Forget drops what is known of the epochs below e, except the latest one.
func (s *Schedule) Forget(e Epoch) {
	for s.first < e && len(s.known) > 1 {
		s.known = s.known[1:]
		s.first++
	}
}

func (EpochConfig) EventName() string { return "delivery.EpochConfig" }
func (EpochBegun) EventName() string  { return "ordering.EpochBegun" }
func (WantEpoch) EventName() string   { return "mempool.WantEpoch" }
