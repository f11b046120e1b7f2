package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/trantor/server"
	"github.com/perfgate/perfgate/trantor/types"
)

func TestReplicasThatDeliveredAsMuchMustHaveTheSameState(t *testing.T) {
	state := func(node types.NodeID, delivered uint64, hash string) server.Status {
		return server.Status{Node: node, Delivered: delivered, AppHash: hash}
	}
	for name, tc := range map[string]struct {
		states      []server.Status
		even, wrong bool
	}{
		"nobody answers": {nil, true, false},
		"all agree":      {[]server.Status{state(0, 5, "a"), state(1, 5, "a")}, true, false},
		"one is behind":  {[]server.Status{state(0, 5, "a"), state(1, 4, "b")}, false, false},
		"two differ":     {[]server.Status{state(0, 5, "a"), state(1, 4, "b"), state(2, 5, "c")}, false, true},
	} {
		even, err := compare(tc.states)
		if even != tc.even || (err != nil) != tc.wrong {
			t.Errorf("%s: even %v, error %v", name, even, err)
		}
	}
}

func TestReplicasThatHaveLeftAreNotCompared(t *testing.T) {
	members := []server.StatusMember{{Node: 0, Weight: 1}, {Node: 1, Weight: 0}}
	for node, want := range map[types.NodeID]bool{0: true, 1: false, 2: false} {
		if got := isMember(server.Status{Node: node, Members: members}); got != want {
			t.Errorf("replica %d: %v", node, got)
		}
	}
}

func TestALoadThatComparedNothingSaysSo(t *testing.T) {
	two := []server.Status{{Node: 0, Delivered: 5, AppHash: "a"}, {Node: 1, Delivered: 5, AppHash: "a"}}
	for name, tc := range map[string]struct {
		states []server.Status
		asked  bool
		says   string
		code   int
	}{
		"all of two":     {two, true, "2 replicas agree", exitOK},
		"two, unasked":   {two, false, "2 replicas agree", exitOK},
		"one of several": {two[:1], true, "", exitUnavailable},
		"none of two":    {nil, true, "", exitUnavailable},
		"only one known": {two[:1], false, "states not compared", exitOK},
		"nobody known":   {nil, false, "states not compared", exitOK},
	} {
		var out strings.Builder
		err := sayAgreed(tc.states, tc.asked, &out)
		var exit exitError
		code := exitOK
		if errors.As(err, &exit) {
			code = exit.code
		}
		if code != tc.code || !strings.Contains(out.String(), tc.says) {
			t.Errorf("%s: exit %d (%v), printed %q", name, code, err, out.String())
		}
	}
}

func TestVotesGoToTheMembersOfToday(t *testing.T) {
	genesis := []server.Member{{Node: 0, Weight: 1}, {Node: 1, Weight: 1}, {Node: 2, Weight: 1}, {Node: 3, Weight: 1}}
	for name, tc := range map[string]struct {
		votes []uint64
		want  string
	}{
		"as at genesis":        {[]uint64{1, 1, 1, 1}, "[0:1 1:1 2:1 3:1]"},
		"one has other votes":  {[]uint64{1, 2, 1, 1}, "[0:1 1:2 2:1 3:1]"},
		"one left, one joined": {[]uint64{0, 1, 1, 1, 1}, "too few"},
		"one joined":           {[]uint64{1, 1, 1, 1, 1}, "[0:1 1:1 2:1 3:1]"},
		"all left":             {[]uint64{0, 0, 0, 0, 1}, "too few"},
	} {
		var status server.Status
		for id, weight := range tc.votes {
			status.Members = append(status.Members, server.StatusMember{Node: types.NodeID(id), Weight: weight})
		}
		members, err := today(genesis, status)
		got := []string{}
		for _, m := range members {
			got = append(got, fmt.Sprintf("%d:%d", m.Node, m.Weight))
		}
		if text := fmt.Sprint(got); err == nil && text != tc.want || err != nil && tc.want != "too few" {
			t.Errorf("%s: %s (%v), want %s", name, text, err, tc.want)
		}
	}
}
