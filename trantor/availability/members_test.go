package availability

import (
	"testing"

	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// reconfigured is replica 0 of four in epoch 3, from which on replica 1 has left
// and replica 4 has joined.
func reconfigured(t *testing.T, before ...types.NewBatch) *rig {
	cfg := config(0, 4)
	cfg.BucketGrace = 3
	r := newRig(t, cfg)
	for _, b := range before {
		r.feed(b)
	}
	members, err := quorum.New([]uint64{1, 0, 1, 1, 1})
	if err != nil {
		t.Fatal(err)
	}
	r.cfg.Members = members
	r.feed(types.EpochConfig{Epoch: 3, Members: members}, r.begun(3))
	return r
}

func TestNewMembersAreSentToAndThoseThatLeftAreNot(t *testing.T) {
	r := reconfigured(t)
	r.want("batch(0 x)>[2 3 4] set", types.NewBatch{Data: dataOf(0, "x"), Epoch: 3})
	r.want("", acked(1, ownID(0, 0, "x")))
	r.want("cert(0 by [0 4])", acked(4, ownID(0, 0, "x")))
}

func TestANewMembersBatchesAreHeldOnceItIsOne(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.want("", from(4, Request{}))
	if r.a.Stats().Misaddressed != 1 {
		t.Error("a stranger was heard")
	}
	r = reconfigured(t)
	for client := types.ClientID(0); ; client++ {
		if types.BucketOwner(types.BucketOf(client, buckets), 3, []types.NodeID{0, 2, 3, 4}) == 4 {
			data := types.EncodeBatch([]types.Tx{{TxID: types.TxID{Client: client}}})
			r.want("ack(0)>[4]", from(4, Batch{Epoch: 3, Data: data}))
			return
		}
	}
}

func TestSignaturesAreCountedUnderTheMembersOfTheEpoch(t *testing.T) {
	r := reconfigured(t, own("x"))
	// The signature of 1 came before it left, and does not count any more.
	r.want("", acked(1, ownID(0, 0, "x")))
	r.want("cert(0 by [0 2])", acked(2, ownID(0, 0, "x")))

	heavier := newRig(t, config(0, 4))
	heavier.feed(own("x"))
	members, err := quorum.New([]uint64{2, 1, 1, 1}) // f = 1: one's own signature is enough
	if err != nil {
		t.Fatal(err)
	}
	heavier.feed(types.EpochConfig{Epoch: 3, Members: members})
	heavier.want("cert(0 by [0])", types.EpochBegun{Epoch: 1}, types.EpochBegun{Epoch: 3, Leaders: members.Nodes()})
}

func TestAStaleCertificateIsCollectedForAgain(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.cfg.BucketGrace = 3
	r.feed(own("x"))
	r.want("cert(0 by [0 1])", acked(1, ownID(0, 0, "x")))
	stale := types.CertStale{Cert: cert(ownID(0, 0, "x"), 0, 1)}
	members, err := quorum.New([]uint64{1, 0, 1, 1, 1})
	if err != nil {
		t.Fatal(err)
	}
	r.feed(types.EpochConfig{Epoch: 3, Members: members}, types.EpochBegun{Epoch: 3, Leaders: members.Nodes()})
	r.want("batch(0 x)>[2 3 4]", stale)
	r.want("", stale)
	r.want("cert(0 by [0 3])", acked(3, ownID(0, 0, "x")))
	r.want("", types.CertStale{Cert: cert(idOf(2, 0, "x"), 0, 1)}) // of another creator
	r.feed(used(ownID(0, 0, "x"), 3))
	r.want("", stale) // used by now
}

func TestAReplicaThatLeftGivesItsTransactionsBack(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.feed(own("x"))
	members, err := quorum.New([]uint64{0, 1, 1, 1})
	if err != nil {
		t.Fatal(err)
	}
	r.feed(types.EpochConfig{Epoch: 3, Members: members})
	r.want("back(x)", types.EpochBegun{Epoch: 3, Leaders: members.Nodes()})
	r.want("", tick{})
}

func TestAReplicaThatIsNoMemberYetFollows(t *testing.T) {
	cfg := config(5, 4)
	r := newRig(t, cfg)
	r.want("ack(0)>[1]", sent(1, 0, "x"))
	r.want("data(x)", need(idOf(1, 0, "x"), 1, 2))
}
