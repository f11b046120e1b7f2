package server

import (
	"errors"
	"fmt"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/store"
	"github.com/perfgate/perfgate/trantor/types"
)

// durable is the store of a replica that has a data directory, or none.
type durable struct {
	store   *store.Store   // Nil where nothing is durable.
	records []types.Record // Of earlier runs.
}

// openDurable opens the store of a replica that was set up. It makes none: a
// directory without one is most likely a disk that is not mounted, and the replica
// would contradict what it voted for.
func openDurable(cfg Config, logf func(string, ...any)) (*durable, error) {
	if cfg.Data == "" {
		return &durable{}, nil
	}
	options := storeOptions(cfg)
	options.Existing = true
	options.OnError = func(err error) { logf("store %s: %v", cfg.Data, err) }
	s, err := store.Open(options)
	if errors.Is(err, store.ErrAbsent) {
		err = fmt.Errorf("%w: is its disk mounted? A replica that lost its store must be replaced, not begun anew; "+
			"only for one that never ran: trantor node --new-store", err)
	}
	if err != nil {
		return nil, err
	}
	d := &durable{store: s}
	d.records, err = s.Records()
	return d, err
}

func storeOptions(cfg Config) store.Options {
	return store.Options{Dir: cfg.Data, Identity: store.Identity{System: cfg.System, Replica: cfg.Node}}
}

// NewStore makes the store of a replica that has never run, where the
// configuration names a directory for one. Where there is a store already it stays
// as it is.
func NewStore(cfg Config) error {
	if cfg.Data == "" {
		return nil
	}
	s, err := store.Open(storeOptions(cfg))
	if err != nil {
		return err
	}
	return s.Close()
}

func (d *durable) on() bool { return d.store != nil }

// registrations put the store into a node's table.
func (d *durable) registrations(self mir.ModuleID) []mir.Registration {
	if d.store == nil {
		return nil
	}
	return []mir.Registration{{ID: self, Module: d.store.Module()}}
}

func (d *durable) stats() store.Stats {
	if d.store == nil {
		return store.Stats{}
	}
	return d.store.Stats()
}

// close closes the store once.
func (d *durable) close() error {
	if d.store == nil {
		return nil
	}
	return d.store.Close()
}
