package server

import (
	"errors"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// durable is the store of a replica that has a data directory.
type durable struct {
	records []types.Record
}

func openDurable(dir string) (*durable, error) {
	if dir != "" {
		return nil, errors.New("data: not yet")
	}
	return &durable{}, nil
}

func (d *durable) on() bool { return false }

func (d *durable) registrations(mir.ModuleID) []mir.Registration { return nil }

func (d *durable) stats() struct{} { return struct{}{} }

func (d *durable) close() error { return nil }
