package server

import (
	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/store"
	"github.com/perfgate/perfgate/trantor/types"
)

// durable is the store of a replica that has a data directory, or none.
type durable struct {
	store   *store.Store   // Nil where nothing is durable.
	records []types.Record // Of earlier runs.
}

func openDurable(cfg Config, logf func(string, ...any)) (*durable, error) {
	if cfg.Data == "" {
		return &durable{}, nil
	}
	s, err := store.Open(store.Options{
		Dir: cfg.Data, Identity: store.Identity{System: cfg.System, Replica: cfg.Node},
		OnError: func(err error) { logf("store %s: %v", cfg.Data, err) },
	})
	if err != nil {
		return nil, err
	}
	d := &durable{store: s}
	d.records, err = s.Records()
	return d, err
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
