package mempool

import (
	"errors"
	"testing"

	"github.com/perfgate/perfgate/mir"
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
	if len(m.pending) != 2 {
		t.Errorf("%d votes pending, want 2", len(m.pending))
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
