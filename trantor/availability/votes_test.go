package availability

import (
	"errors"
	"testing"

	"github.com/perfgate/perfgate/trantor/types"
)

// A certificate has a correct signer, so none ever says that junk is available. Of
// one who sends some no votes are looked at before a later configuration is known.
func TestABatchWithWhatIsNoVoteIsNotAcknowledged(t *testing.T) {
	votes := func(payloads ...string) []byte {
		var txs []types.Tx
		for no, payload := range payloads {
			txs = append(txs, types.Tx{TxID: types.TxID{Client: types.ConfigClient, No: types.TxNo(no)}, Payload: []byte(payload)})
		}
		return types.EncodeBatch(txs)
	}
	for name, buckets := range map[string]int{"with buckets": buckets, "without": 0} {
		t.Run(name, func(t *testing.T) {
			cfg := config(0, 4)
			cfg.Buckets, cfg.BatchBytesMax = buckets, 100
			looked := 0
			cfg.CheckVote = func(payload []byte, replicas int) error {
				looked++
				if string(payload) != "vote" || replicas != 4 {
					return errors.New("no vote")
				}
				return nil
			}
			owner := types.BucketOwner(types.BucketOf(types.ConfigClient, 4), 0, cfg.Members.Nodes())
			if owner == cfg.Node {
				t.Fatal("the bucket of types.ConfigClient is this replica's")
			}
			r := newRig(t, cfg)
			r.want("", from(owner, Batch{No: 0, Data: votes("vote", "junk")}))
			if got := r.a.Stats(); got != (Stats{BadVotes: 1}) {
				t.Errorf("stats %+v", got)
			}
			r.want("", from(owner, Batch{No: 0, Data: votes("vote")}))
			if looked != 2 {
				t.Errorf("%d votes were looked at, want 2", looked)
			}
			// Its number is free for another batch.
			r.feed(types.EpochConfig{Epoch: 3, Members: cfg.Members})
			r.want("ack(0)>[2]", from(owner, Batch{No: 0, Data: votes("vote")}))
			config := types.EpochConfig{Epoch: 1, Members: cfg.Members}
			r.want("", from(owner, Batch{No: 1, Data: votes("junk")}), types.Restored{Configs: []types.EpochConfig{config}})
			r.want("ack(1)>[2]", from(owner, Batch{No: 1, Data: votes("vote")}))
			cfg.CheckVote = nil
			newRig(t, cfg).want("", from(owner, Batch{No: 0, Data: votes("vote")}))
		})
	}
}
