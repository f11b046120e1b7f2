package mempool

import (
	"errors"
	"testing"

	"github.com/perfgate/perfgate/trantor/types"
)

// wantStranger submits the first transaction of a client.
func wantStranger(t *testing.T, m *Mempool, client uint64, want bool) {
	t.Helper()
	if err := lastError(t, m, submit(client, 0, 1)); errors.Is(err, ErrTooManyClients) != want {
		t.Errorf("client %d: error %v, want it to be a stranger: %v", client, err, want)
	}
}

// A place is for good only where the log gives it.
func TestAClientWithNothingDeliveredGivesItsPlaceBack(t *testing.T) {
	m := alone(config())
	feed(t, m, submit(1, 0, 1), submit(2, 0, 1), submit(2, 1, 1))
	wantStranger(t, m, 3, true)
	feed(t, m, dropped(id(2, 0)))
	wantStranger(t, m, 3, true)
	feed(t, m, dropped(id(2, 1)))
	wantStranger(t, m, 3, false)
	feed(t, m, delivered(id(3, 0)), dropped(id(1, 0)))
	wantStranger(t, m, 1, false)
	wantStranger(t, m, 2, true)
	if s := m.Stats(); s.Clients != 1 || s.Newcomers != 1 || s.Strangers != 3 {
		t.Errorf("stats %+v, want client 3, newcomer 1 and three refusals", s)
	}
	if err := lastError(t, m, submit(3, 1, 1)); err != nil {
		t.Errorf("a client that has its place: %v", err)
	}
}

// What was refused leaves nothing behind, and the window is that of any client.
func TestNumbersOfANewcomerAreBounded(t *testing.T) {
	m := alone(config())
	if err := lastError(t, m, submit(1, 8, 1)); !errors.Is(err, ErrWindowFull) {
		t.Errorf("number 8 of a window of 8: %v", err)
	}
	if s := m.Stats(); s.Clients+s.Newcomers != 0 {
		t.Errorf("stats %+v", s)
	}
	if err := lastError(t, m, submit(1, 7, 1)); err != nil {
		t.Errorf("number 7: %v", err)
	}
}

// A faulty peer may invent clients. Each source has its own share.
func TestClientsOfPeersAreNoNewcomersHere(t *testing.T) {
	m := alone(config())
	feed(t, m, forward(1, submit(5, 0, 1), submit(6, 0, 1), submit(7, 0, 1)))
	wantStranger(t, m, 1, false)
	wantStranger(t, m, 5, false) // Now it has submitted here too.
	wantStranger(t, m, 2, true)
	if s := m.Stats(); s.Newcomers != 2 || len(m.pending) != 4 {
		t.Errorf("%d pending, stats %+v", len(m.pending), s)
	}
}

func TestPlacesAreCountedAnewAfterASnapshot(t *testing.T) {
	m := alone(config())
	feed(t, m, submit(1, 0, 1), submit(2, 0, 1))
	one := types.NewWindow(8)
	one.Add(0)
	feed(t, m, types.Restored{Clients: map[types.ClientID]*types.Window{1: one}})
	if s := m.Stats(); s.Clients != 1 || s.Newcomers != 1 {
		t.Errorf("stats %+v, want one client and one newcomer", s)
	}
	wantStranger(t, m, 3, true)
	feed(t, m, types.Restored{Clients: map[types.ClientID]*types.Window{1: one, 4: one.Clone()}})
	wantStranger(t, m, 2, false) // It is pending: known, not strange.
}
