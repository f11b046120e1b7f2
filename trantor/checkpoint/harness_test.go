package checkpoint

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/types"
)

const (
	selfModule mir.ModuleID = 1 + iota
	netModule
	timerModule
	storeModule
	transferModule
	firstTarget
)

const configDelay = 5

// bench is the checkpoint module of the last of n replicas, everybody's keys,
// and a store on which everything is durable at once.
type bench struct {
	t       *testing.T
	c       *Checkpoint
	node    types.NodeID
	genesis types.Configuration
	cryptos []crypto.Crypto
	trace   bytes.Buffer
	lines   []string // What came of the latest input.
	sent    []mir.Send
	armed   bool
	disk    map[string][]byte
}

func newBench(t *testing.T, n int) *bench { return newBenchOf(t, n, types.NodeID(n-1)) }

// newBenchOf is the module of any replica, also of one that is no member.
func newBenchOf(t *testing.T, n int, node types.NodeID) *bench {
	b := &bench{t: t, node: node, genesis: types.EqualConfiguration(n), disk: map[string][]byte{}}
	for id := range types.NodeID(12) {
		b.cryptos = append(b.cryptos, crypto.NewSimulated(1, id, 12))
	}
	b.c = b.fresh()
	return b
}

func (b *bench) fresh() *Checkpoint {
	return New(Config{
		Node: b.node, Genesis: b.genesis, ConfigDelay: configDelay, Crypto: b.cryptos[b.node],
		Self: selfModule, Net: netModule, Timer: timerModule, Store: storeModule, Transfer: transferModule,
		Stable: []mir.ModuleID{firstTarget, firstTarget + 1}, EpochsAheadMax: 3, ResendAfter: time.Second,
	})
}

// restart crashes the replica and brings it back with what is durable.
func (b *bench) restart() error {
	b.c, b.armed = b.fresh(), false
	return b.c.Recover(b.records(), nil)
}

func (b *bench) records() (records []types.Record) {
	for key, value := range b.disk {
		records = append(records, types.Record{Key: []byte(key), Value: value})
	}
	slices.SortFunc(records, func(x, y types.Record) int { return bytes.Compare(x.Key, y.Key) })
	return records
}

func (b *bench) apply(body mir.Body) {
	b.lines, b.sent = nil, nil
	fmt.Fprintf(&b.trace, "> %s\n", describe(body))
	b.input(body)
}

func (b *bench) input(body mir.Body) {
	var out mir.Out
	b.c.Apply(mir.Event{To: selfModule, Body: body}, &out)
	for _, ev := range out.Events() {
		b.emitted(ev)
	}
}

func (b *bench) emitted(ev mir.Event) {
	switch e := ev.Body.(type) {
	case mir.SetTimer:
		b.armed = true
		return
	case types.Persist:
		b.persist(e)
		return
	case mir.Send:
		b.sent = append(b.sent, e)
	}
	line := fmt.Sprintf("to module %d: %s", ev.To, describe(ev.Body))
	b.lines = append(b.lines, line)
	fmt.Fprintln(&b.trace, line)
	if e, ok := ev.Body.(mir.Send); ok && slices.Contains(e.To, b.node) {
		b.input(mir.Received{From: b.node, Msg: e.Msg})
	}
}

func (b *bench) persist(p types.Persist) {
	for _, r := range p.Deletes {
		for key := range b.disk {
			if key >= string(r.From) && key < string(r.To) {
				delete(b.disk, key)
			}
		}
	}
	for _, r := range p.Puts {
		b.disk[string(r.Key)] = r.Value
	}
	fmt.Fprintf(&b.trace, "durable: %s\n", b.keys())
	for _, ev := range p.Then {
		b.emitted(ev)
	}
}

// keys lists what is durable: kind, epoch, and the part of what has parts.
func (b *bench) keys() string {
	var keys []string
	for _, r := range b.records() {
		key := fmt.Sprintf("%c%d", r.Key[1], r.Key[epochKeyBytes-1])
		if len(r.Key) == partKeyBytes {
			key += fmt.Sprintf("/%d", r.Key[partKeyBytes-1])
		}
		keys = append(keys, key)
	}
	return strings.Join(keys, " ")
}

func (b *bench) want(lines ...string) {
	b.t.Helper()
	if !slices.Equal(b.lines, lines) {
		b.t.Errorf("got %q, want %q", b.lines, lines)
	}
}

func (b *bench) tick() {
	b.armed = false
	b.apply(tick{})
}

// state is the snapshot of an epoch, with the configurations that follow.
func state(e types.Epoch, data string, configs ...types.Configuration) []byte {
	header := types.SnapshotHeader{Epoch: e}
	for i := range configDelay {
		config := configs[min(i, len(configs)-1)]
		members, err := config.Quorums()
		if err != nil {
			panic(err)
		}
		header.Configs = append(header.Configs, types.EpochConfig{Epoch: e + 1 + types.Epoch(i), Config: config, Members: members})
	}
	return append(header.AppendWire(nil), data...)
}

func (b *bench) state(e types.Epoch, data string) []byte { return state(e, data, b.genesis) }

func (b *bench) snapshot(e types.Epoch, data string) {
	b.apply(types.Snapshot{Epoch: e, Data: b.state(e, data)})
}

func (b *bench) receive(from types.NodeID, m mir.Message) { b.apply(mir.Received{From: from, Msg: m}) }

// vote is validly signed by from.
func (b *bench) vote(from types.NodeID, e types.Epoch, data string) Vote {
	return b.voteFor(from, e, b.state(e, data))
}

func (b *bench) voteFor(from types.NodeID, e types.Epoch, data []byte) Vote {
	d := types.SnapshotDigest(data)
	return Vote{Epoch: e, Digest: d, Sig: b.cryptos[from].Sign(DomainVote, Statement(e, d))}
}

func (b *bench) certificate(e types.Epoch, data string, ids ...types.NodeID) Certificate {
	return b.certificateFor(e, b.state(e, data), ids...)
}

func (b *bench) certificateFor(e types.Epoch, data []byte, ids ...types.NodeID) Certificate {
	m := Certificate{Epoch: e, Digest: types.SnapshotDigest(data)}
	for _, id := range ids {
		m.Sigs = append(m.Sigs, types.Signature{Signer: id, Sig: b.voteFor(id, e, data).Sig})
	}
	return m
}

// stabilise makes an epoch stable with own snapshot and two more votes of four.
func (b *bench) stabilise(e types.Epoch, data string) {
	b.snapshot(e, data)
	b.receive(0, b.vote(0, e, data))
	b.receive(1, b.vote(1, e, data))
}

func describe(body mir.Body) string {
	switch e := body.(type) {
	case types.Snapshot:
		return fmt.Sprintf("snapshot of epoch %d", e.Epoch)
	case types.HeldSnapshot:
		return fmt.Sprintf("held snapshot of epoch %d", e.Checkpoint.Epoch)
	case mir.Received:
		return fmt.Sprintf("%s from %d", describe(e.Msg), e.From)
	case mir.Send:
		return fmt.Sprintf("send %s to %v", describe(e.Msg), e.To)
	case Vote:
		return fmt.Sprintf("VOTE %d %s", e.Epoch, e.Digest)
	case Certificate:
		return fmt.Sprintf("CERTIFICATE %d %s by %s", e.Epoch, e.Digest, signers(e.Sigs))
	case Ask:
		return fmt.Sprintf("ASK %d knowing %d", e.Next, e.Known)
	case Proof:
		return fmt.Sprintf("PROOF of %s", describe(e.Checkpoint))
	case types.StableCheckpoint:
		return fmt.Sprintf("stable %d %s by %s", e.Epoch, e.Digest, signers(e.Sigs))
	}
	return body.EventName()
}

func signers(sigs []types.Signature) string {
	var ids []types.NodeID
	for _, s := range sigs {
		ids = append(ids, s.Signer)
	}
	return fmt.Sprint(ids)
}
