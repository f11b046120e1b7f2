package simtest

import (
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/availability"
	"github.com/perfgate/perfgate/trantor/mempool"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// garbler sends bytes that mean nothing to any module, and spoils some of its
// twin's messages.
type garbler struct{}

const garbagePeriod = 25 * time.Millisecond

func (garbler) begin(v *villain) {
	v.every(garbagePeriod, func() {
		v.send(v.anyModule(), v.anySub(), v.garbage(), v.somebody())
	})
}

// fate flips a bit in one of 16 messages. Batches are left alone: a replica
// vouches for its clients, so a changed transaction would be a new one.
func (garbler) fate(v *villain, p sim.Packet) (sim.Fate, bool) {
	if carriesTxs(p.Msg) || !chance(v.rng, 16) {
		return sim.Fate{}, false
	}
	return sim.Fate{Wire: v.spoil(p.Msg)}, true
}

// carriesTxs is about the messages from which transactions are taken on their
// sender's word.
func carriesTxs(m mir.Message) bool {
	switch m.(type) {
	case availability.Batch, mempool.Forward:
		return true
	}
	return false
}

// spoil is the message with one bit flipped.
func (v *villain) spoil(m mir.Message) []byte {
	b, err := replica.NewCodec().Encode(nil, m)
	if err != nil {
		panic(err)
	}
	at := v.rng.IntN(len(b))
	b[at] ^= 1 << v.rng.IntN(8)
	return b
}

// garbage is random bytes, mostly with a tag that may exist, and never with one
// that carries transactions.
func (v *villain) garbage() raw {
	b := make(raw, 1+v.rng.IntN(200))
	for i := range b {
		b[i] = byte(v.rng.Uint32())
	}
	batch, forward := availability.Batch{}.WireTag(), mempool.Forward{}.WireTag()
	for b[0] == batch || b[0] == forward || b[0] > 70 && !chance(v.rng, 16) {
		b[0] = byte(v.rng.Uint32())
	}
	return b
}

// anyModule is the ID of some module, or of none.
func (v *villain) anyModule() mir.ModuleID { return mir.ModuleID(v.rng.IntN(16)) }

// anySub names the module itself, an instance of an epoch that is near, or
// anything.
func (v *villain) anySub() mir.SubID {
	switch v.rng.IntN(3) {
	case 0:
		return 0
	case 1:
		return v.nearSub()
	default:
		return mir.SubID(v.rng.Uint64())
	}
}

// nearSub is an instance of about the current epoch.
func (v *villain) nearSub() mir.SubID {
	epoch := mir.SubID(v.twin().replica.Stats().Epoch) + mir.SubID(v.rng.IntN(4))
	return (epoch+1)<<16 | mir.SubID(v.rng.IntN(v.world.scenario.N()))
}

// randomDigest is the digest of nothing.
func (v *villain) randomDigest() (d types.Digest) {
	for i := range d {
		d[i] = byte(v.rng.Uint32())
	}
	return d
}
