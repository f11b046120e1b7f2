package mempool

import (
	"errors"
	"testing"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

const configClient = uint64(types.ConfigClient)

// voting takes payloads of one byte for votes, where there are four replicas.
func voting(cfg Config) Config {
	cfg.CheckVote = func(payload []byte, replicas int) error {
		if len(payload) != 1 || replicas != 4 {
			return errors.New("no vote")
		}
		return nil
	}
	return cfg
}

func TestWhatIsNoVoteNeverUsesUpANumberOfConfigClient(t *testing.T) {
	m := alone(voting(config()))
	for range 2 {
		if err := lastError(t, m, submit(configClient, 0, 2)); !errors.Is(err, ErrInvalid) {
			t.Errorf("junk: %v", err)
		}
	}
	feed(t, m, forward(1, submit(configClient, 0, 2), submit(configClient, 1, 2)))
	if len(m.pending) != 0 || m.Stats().Refused != 2 {
		t.Errorf("%d pending, stats %+v: want none and 2 refused", len(m.pending), m.Stats())
	}
	if err := lastError(t, m, submit(configClient, 0, 1)); err != nil {
		t.Errorf("a vote: %v", err)
	}
	feed(t, m, forward(1, submit(configClient, 1, 1)))
	feed(t, m, forward(2, submit(configClient, 2, 1)))
	if len(m.pending) != 2 || m.pending[id(configClient, 2)] == nil {
		t.Errorf("%d votes pending, want the one submitted and that of replica 2", len(m.pending))
	}
}

// A peer may know a configuration that this replica does not, and be right about
// what is a vote. Until then one of its votes is looked at, since each costs the
// verification of a signature.
func TestVotesOfWhoForwardedJunkAreNotLookedAtBeforeALaterConfiguration(t *testing.T) {
	cfg, looked := voting(config()), 0
	check := cfg.CheckVote
	cfg.CheckVote = func(payload []byte, replicas int) error {
		looked++
		return check(payload, replicas)
	}
	m := alone(cfg)
	feed(t, m, forward(1, submit(configClient, 0, 2), submit(configClient, 1, 1)), forward(1, submit(configClient, 1, 1)))
	if looked != 1 || len(m.pending) != 0 {
		t.Errorf("%d votes were looked at and %d are pending, want 1 and none", looked, len(m.pending))
	}
	feed(t, m, types.EpochConfig{Epoch: 3, Members: quorum.Equal(4)}, forward(1, submit(configClient, 1, 1)))
	if m.pending[id(configClient, 1)] == nil {
		t.Error("a vote is refused after a later configuration is known")
	}
	later := types.Restored{Configs: []types.EpochConfig{{Epoch: 1, Members: quorum.Equal(4)}}}
	feed(t, m, forward(1, submit(configClient, 0, 2)), later, forward(1, submit(configClient, 2, 1)))
	if m.pending[id(configClient, 2)] == nil {
		t.Error("a vote is refused after a snapshot")
	}
}

func TestWithoutACheckNobodyVotes(t *testing.T) {
	m := alone(config())
	if err := lastError(t, m, submit(configClient, 0, 1)); !errors.Is(err, ErrInvalid) {
		t.Errorf("%v", err)
	}
}

// As in delivery: otherwise clients that somebody invents keep the replicas from
// ever changing their members.
func TestConfigClientIsNoneOfClientsMax(t *testing.T) {
	m := alone(voting(config()))
	feed(t, m, submit(1, 0, 1), submit(2, 0, 1), delivered(id(1, 0), id(2, 0)))
	if err := lastError(t, m, submit(3, 0, 1)); !errors.Is(err, ErrTooManyClients) {
		t.Fatalf("third client of two: %v", err)
	}
	if err := lastError(t, m, submit(configClient, 0, 1)); err != nil {
		t.Errorf("a vote: %v", err)
	}
	fresh := alone(voting(config()))
	feed(t, fresh, submit(configClient, 0, 1), delivered(id(configClient, 0)), submit(1, 0, 1))
	if err := lastError(t, fresh, submit(2, 0, 1)); err != nil {
		t.Errorf("second client of two, after a vote: %v", err)
	}
}

// What was in an own batch that found no certificate, before a restart.
func TestJunkIsNotPutBack(t *testing.T) {
	m := alone(voting(config()))
	data := types.EncodeBatch([]types.Tx{submit(configClient, 0, 2).Tx, submit(1, 0, 1).Tx})
	m.Apply(mir.Event{To: self, Body: types.BatchVoided{Data: data}}, &mir.Out{})
	if m.pending[id(1, 0)] == nil || len(m.pending) != 1 {
		t.Errorf("%d pending, want 1/0 alone", len(m.pending))
	}
}
