package server

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAPlanThatCannotWorkWritesNothing(t *testing.T) {
	for want, plan := range map[string]Plan{
		"weights [1 0]":         {Replicas: 2, Weights: []uint64{1, 0}},
		"ViewTimeout is 0s":     {Replicas: 1, Params: map[string]string{"view-timeout": "0s"}},
		"unknown key \"speed\"": {Replicas: 1, Params: map[string]string{"speed": "1"}},
	} {
		dir := t.TempDir()
		if err := Init(dir, plan); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %s", plan, err, want)
		}
		if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
			t.Errorf("%+v: it wrote %v (%v)", plan, names, err)
		}
	}
}

// TestAnyNameOfASystemIsReadAsItWasGiven: a name may look like another kind of
// value, or like a comment.
func TestAnyNameOfASystemIsReadAsItWasGiven(t *testing.T) {
	for _, name := range []string{"shop", "a: b", "# c", "[x", "1e3", "null", "'\"", " padded "} {
		dir := t.TempDir()
		if err := Init(dir, Plan{Replicas: 1, System: name}); err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		cfg, err := Load(ConfigPath(dir, 0))
		if err != nil || cfg.System != name {
			t.Errorf("%q is read as %q (%v)", name, cfg.System, err)
		}
		members, err := LoadMembers(filepath.Join(dir, MembersFile))
		if err != nil || members.System != name {
			t.Errorf("%q is read as %q for clients (%v)", name, members.System, err)
		}
	}
}

func TestMembersForClientsMayBeLaterOnesThanThoseOfGenesis(t *testing.T) {
	plan := Plan{System: "s", Application: "kv"}
	key := make(ed25519.PublicKey, ed25519.PublicKeySize)
	text, err := plan.membersText([]Member{
		{Node: 1, Weight: 0, Key: key}, {Node: 4, Weight: 2, Key: key, Clients: "h:1"}, {Node: 6, Weight: 1, Key: key, Clients: "h:2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), MembersFile)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	members, err := LoadMembers(path)
	if err != nil || len(members.Members) != 2 || members.Members[0].Node != 4 || members.Members[1].Node != 6 {
		t.Errorf("read %+v (%v)", members, err)
	}
}

// TestOneHostShutsNoOtherOneOut: the rest of the connections is left to others.
func TestOneHostShutsNoOtherOneOut(t *testing.T) {
	l := newListener(nil, 3, 2)
	for i, step := range []struct {
		host string
		want bool
	}{{"a", true}, {"a", true}, {"a", false}, {"b", true}, {"c", false}} {
		if got := l.enter(step.host); got != step.want {
			t.Errorf("step %d: %s enters: %v", i, step.host, got)
		}
	}
	l.leave("a")
	if !l.enter("a") || len(l.ofHosts) != 2 {
		t.Errorf("after one left: %v", l.ofHosts)
	}
	l.leave("b")
	if _, ok := l.ofHosts["b"]; ok {
		t.Error("a host without connections is remembered")
	}
	if open, turned := l.counts(); open != 2 || turned != 2 {
		t.Errorf("%d open, %d turned away", open, turned)
	}
}
