package simtest

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// behaviour is one kind of mischief. A Byzantine replica is an honest twin, whose
// messages its behaviours drop and change, and to which they add.
type behaviour interface {
	// begin plans what the replica sends on its own account.
	begin(v *villain)
	// fate decides about a message of the twin. False leaves it to the others.
	fate(v *villain, p sim.Packet) (sim.Fate, bool)
}

// repertoire is every behaviour. Its order is part of what a seed means.
var repertoire = []struct {
	name string
	make func() behaviour
}{
	{"equivocate", func() behaviour { return &equivocator{} }},
	{"badcerts", func() behaviour { return &forger{} }},
	{"withhold", func() behaviour { return withholder{} }},
	{"stale", func() behaviour { return &replayer{} }},
	{"garbage", func() behaviour { return garbler{} }},
	{"flood", func() behaviour { return flooder{} }},
	{"lie", func() behaviour { return liar{} }},
	{"mute", func() behaviour { return &mute{} }},
}

// villain is a Byzantine replica.
type villain struct {
	world *world
	id    types.NodeID
	rng   *rand.Rand
	acts  []behaviour
	done  uint64 // Messages that were forged, changed or withheld.
}

func newVillain(w *world, plan Villain) *villain {
	v := &villain{world: w, id: plan.Node, rng: rand.New(rand.NewPCG(w.scenario.Seed, 1<<32|uint64(plan.Node)))}
	for _, b := range repertoire {
		if slices.Contains(plan.Acts, b.name) {
			v.acts = append(v.acts, b.make())
		}
	}
	return v
}

func (v *villain) begin() {
	for _, b := range v.acts {
		b.begin(v)
	}
}

// fate lets the first behaviour decide that wants to.
func (v *villain) fate(p sim.Packet) sim.Fate {
	if _, own := p.Msg.(forged); own {
		return sim.Fate{}
	}
	for _, b := range v.acts {
		if fate, ok := b.fate(v, p); ok {
			v.done++
			return fate
		}
	}
	return sim.Fate{}
}

// forged is a message that the villain sends on its own account.
type forged struct{ types.WireMessage }

// raw is a message of arbitrary bytes, at least one.
type raw []byte

func (raw) EventName() string              { return "simtest.Raw" }
func (r raw) WireTag() byte                { return r[0] }
func (r raw) AppendWire(dst []byte) []byte { return append(dst, r[1:]...) }

// send sends a message that the twin knows nothing of.
func (v *villain) send(dest mir.ModuleID, sub mir.SubID, m types.WireMessage, to ...types.NodeID) {
	v.done++
	v.world.sim.Inject(v.id, mir.Event{To: v.ids().Net, Body: mir.Send{To: to, Dest: dest, Sub: sub, Msg: forged{m}}})
}

// every does something again and again. It never ends: a system must be live in
// spite of its Byzantine replicas.
func (v *villain) every(period time.Duration, do func()) {
	v.world.sim.At(v.world.sim.Now()+period, func() {
		do()
		v.every(period, do)
	})
}

// somebody is any other replica.
func (v *villain) somebody() types.NodeID {
	n := v.world.scenario.N()
	if n == 1 {
		return v.id
	}
	return types.NodeID((int(v.id) + 1 + v.rng.IntN(n-1)) % n)
}

// others is all other replicas.
func (v *villain) others() (ids []types.NodeID) {
	for id := range types.NodeID(v.world.scenario.N()) {
		if id != v.id {
			ids = append(ids, id)
		}
	}
	return ids
}

// sign signs as the villain: it cannot sign for others.
func (v *villain) sign(domain crypto.Domain, msg []byte) []byte {
	return crypto.NewSimulated(v.world.scenario.Seed, v.id, v.world.scenario.N()).Sign(domain, msg)
}

// twin is the honest part.
func (v *villain) twin() *host { return v.world.hosts[v.id] }

// segmentBytes is how PBFT names a segment in what it signs: it is written here
// once more, so that a villain can sign what no correct replica would.
func segmentBytes(sub mir.SubID) []byte {
	epoch, leader := uint64(sub>>16)-1, uint32(sub&0xffff)
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(nil, epoch), leader)
}

// prepareStatement is what PBFT's pre-prepare and prepare sign.
func prepareStatement(sub mir.SubID, view types.View, seq types.SeqNr, d types.Digest) []byte {
	b := binary.LittleEndian.AppendUint32(segmentBytes(sub), uint32(view))
	b = binary.LittleEndian.AppendUint64(b, uint64(seq))
	return append(b, d[:]...)
}

func (v *villain) ids() replica.IDs { return v.twin().replica.IDs }
