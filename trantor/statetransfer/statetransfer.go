// Package statetransfer brings a replica that fell behind to a later checkpoint.
package statetransfer

import (
	"fmt"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// Config of a StateTransfer.
type Config struct {
	Self mir.ModuleID // This module: peers address it.
}

// Stats say why messages were dropped.
type Stats struct {
	Malformed uint64 // Of a type that peers do not send.
}

// StateTransfer is the module.
type StateTransfer struct {
	cfg   Config
	stats Stats
}

// New makes a module that has nothing to fetch.
func New(cfg Config) *StateTransfer { return &StateTransfer{cfg: cfg} }

// Stats may be read between events.
func (t *StateTransfer) Stats() Stats { return t.stats }

// Apply implements mir.Module.
func (t *StateTransfer) Apply(ev mir.Event, _ *mir.Out) {
	switch ev.Body.(type) {
	case types.Boot, types.EpochConfig, types.Restored, types.StableCheckpoint:
	case mir.Received:
		t.stats.Malformed++
	default:
		panic(fmt.Sprintf("statetransfer: invariant broken: got %s", ev.Body.EventName()))
	}
}
