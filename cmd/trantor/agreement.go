package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
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
// all have, as there is one where nobody else submits. Without one nothing was
// compared, which is neither a right nor a wrong answer.
func agreement(ctx context.Context, addrs []string, asked bool, stdout io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, agreeWithin)
	defer cancel()
	for {
		states := askStates(ctx, addrs)
		even, err := compare(states)
		if err != nil {
			return exitError{exitWrong, fmt.Errorf("load: %w", err)}
		}
		if even {
			return sayAgreed(states, asked, stdout)
		}
		select {
		case <-time.After(agreePoll):
		case <-ctx.Done():
			return exitError{exitUnavailable, fmt.Errorf("load: the states could not be compared within %v, since replicas have not delivered as much: %s", agreeWithin, describe(states))}
		}
	}
}

// sayAgreed says how many states were compared. Where somebody asked for it, fewer
// than two answers are an error.
func sayAgreed(states []server.Status, asked bool, stdout io.Writer) (err error) {
	switch {
	case len(states) > 1:
		_, err = fmt.Fprintf(stdout, "%d replicas agree: %d delivered, state %.16s\n", len(states), states[0].Delivered, states[0].AppHash)
	case asked:
		return exitError{exitUnavailable, fmt.Errorf("load: the states could not be compared: %d of the administrators answer, and 2 are wanted", len(states))}
	default:
		_, err = fmt.Fprintf(stdout, "states not compared, since %d administrators answer: give reachable addresses of two or more with --admins\n", len(states))
	}
	return err
}

func askStates(ctx context.Context, addrs []string) (states []server.Status) {
	for _, addr := range addrs {
		askCtx, cancel := context.WithTimeout(ctx, agreeAskTimeout)
		if s, err := server.AskStatus(askCtx, addr, true); err == nil && isMember(s) {
			states = append(states, s)
		}
		cancel()
	}
	return states
}

// isMember: a replica that has left, or has not joined yet, stays where it is.
func isMember(s server.Status) bool {
	return slices.ContainsFunc(s.Members, func(m server.StatusMember) bool { return m.Node == s.Node && m.Weight > 0 })
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
