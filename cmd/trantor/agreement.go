package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/perfgate/perfgate/trantor/server"
)

const (
	// agreeWithin is how long replicas may take to deliver what others have.
	agreeWithin = 10 * time.Second
	// agreePoll is how often they are asked.
	agreePoll = 100 * time.Millisecond
	// agreeAskTimeout bounds one question: who does not answer is left out.
	agreeAskTimeout = 3 * time.Second
)

// administrators are where the replicas of a system on this machine answer: those
// whose configuration files are where init wrote them, beside the file of the
// members.
func administrators(membersFile string, members []server.Member) (addrs []string) {
	for _, m := range members {
		path := server.ConfigPath(filepath.Dir(membersFile), m.Node)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		if cfg, err := server.Load(path); err == nil && cfg.Listen.Admin != "" {
			addrs = append(addrs, cfg.Listen.Admin)
		}
	}
	return addrs
}

// agreement compares the states of the replicas that answer: those that have
// delivered as many transactions must have the same. It waits for a moment in which
// all have, as there is one where nobody else submits.
func agreement(ctx context.Context, addrs []string, stdout io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, agreeWithin)
	defer cancel()
	for {
		states := askStates(ctx, addrs)
		even, err := compare(states)
		if err != nil {
			return exitError{exitWrong, fmt.Errorf("load: %w", err)}
		}
		if even {
			if len(states) > 1 {
				_, err = fmt.Fprintf(stdout, "%d replicas agree: %d delivered, state %.16s\n", len(states), states[0].Delivered, states[0].AppHash)
			}
			return err
		}
		select {
		case <-time.After(agreePoll):
		case <-ctx.Done():
			_, err := fmt.Fprintf(stdout, "no agreement seen within %v: %s\n", agreeWithin, describe(states))
			return err
		}
	}
}

func askStates(ctx context.Context, addrs []string) (states []server.Status) {
	for _, addr := range addrs {
		askCtx, cancel := context.WithTimeout(ctx, agreeAskTimeout)
		if s, err := server.AskStatus(askCtx, addr, true); err == nil {
			states = append(states, s)
		}
		cancel()
	}
	return states
}

// compare reports whether all have delivered as much, and an error where two that
// have are in different states.
func compare(states []server.Status) (even bool, err error) {
	first := map[uint64]server.Status{}
	for _, s := range states {
		other, seen := first[s.Delivered]
		if seen && other.AppHash != s.AppHash {
			return false, fmt.Errorf("replicas %d and %d differ after %d transactions: state %s and %s",
				other.Node, s.Node, s.Delivered, other.AppHash, s.AppHash)
		}
		first[s.Delivered] = s
	}
	return len(first) <= 1, nil
}

func describe(states []server.Status) string {
	var parts []string
	for _, s := range states {
		parts = append(parts, fmt.Sprintf("replica %d has delivered %d", s.Node, s.Delivered))
	}
	return strings.Join(parts, ", ")
}
