package availability

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/internal/golden"
	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// wide is room for many batches.
func wide(node types.NodeID, n int) Config {
	cfg := config(node, n)
	cfg.WindowSize, cfg.HeldBytesMax = 256, 256*40
	return cfg
}

func TestUncertifiedBatchIsSentAgainToTheSilent(t *testing.T) {
	r := newRig(t, config(0, 7))
	r.feed(own("x"), acked(3, ownID(0, 0, "x")))
	r.want("set", tick{}) // It may have been sent a moment ago.
	r.want("batch(0 x)>[1 2 4 5 6] set", tick{})
	r.feed(acked(4, ownID(0, 0, "x")))
	r.want("", tick{})
}

func TestNoMoreThanResendMaxBatchesAreSentAgainAtATick(t *testing.T) {
	r := newRig(t, wide(0, 4))
	const batches = 40
	for i := range batches {
		r.feed(own(fmt.Sprint(i)))
	}
	r.feed(tick{})
	sent := map[string]bool{}
	for range 3 {
		for id := range r.a.peers {
			r.a.peers[id].left = 0 // Somebody answers.
		}
		all := strings.Fields(strings.ReplaceAll(r.feed(tick{}), " ", "_"))
		words := strings.Split(all[0], "set")[0]
		if got := strings.Count(words, "batch("); got != ResendMax {
			t.Fatalf("%d batches at a tick, want %d", got, ResendMax)
		}
		for _, word := range strings.Split(words, "batch(")[1:] {
			sent[strings.Split(word, "_")[0]] = true
		}
	}
	if len(sent) != batches {
		t.Errorf("three ticks sent %d of %d batches again", len(sent), batches)
	}
	if got := r.a.Stats().Resent; got != 3*ResendMax {
		t.Errorf("%d resends counted, want %d", got, 3*ResendMax)
	}
}

func TestASilentPeerIsLeftInPeaceForDoubleTheTime(t *testing.T) {
	r := newRig(t, config(0, 7))
	r.feed(own("x"), tick{})
	var ticks []int
	for i := range 20 {
		if strings.Contains(r.feed(tick{}), "batch") {
			ticks = append(ticks, i)
		}
	}
	if got := fmt.Sprint(ticks); got != "[0 1 4 11]" {
		t.Errorf("sent again at ticks %s, want [0 1 4 11]", got)
	}
	r.feed(acked(2, ownID(0, 0, "x")), own("y"), tick{})
	r.want("batch(1 y)>[2] set", tick{})
}

func TestMissingBatchIsRetrieved(t *testing.T) {
	r := newRig(t, config(0, 7))
	id := BatchID{Creator: 3, No: 0, Digest: types.HashBatch(dataOf(3, "x"))}
	r.feed(need(id, 0, 2, 3, 5), need(id, 0, 2, 3, 5))
	r.feed(tick{}, tick{}, tick{}, tick{})
	r.feed(from(6, answer(id, "x")), from(5, answer(id, "y")), from(5, answer(id, "x")), from(2, answer(id, "x")))
	r.feed(from(6, Request{ID: id}), tick{}, used(id, 0))
	golden.Check(t, t.Name(), `Replica 0 lacks a batch of replica 3 that 0, 2, 3 and 5 signed for. It asks 2 and 5, and the
creator last, one at each full tick, and then 2 again. What 6 sends was not asked for, the
first answer of 5 is another batch, and the answer of 2 is late. From then on the batch can
be had here.`, r.trace.Bytes())
	if got := r.a.Stats().BadResponses; got != 2 {
		t.Errorf("%d bad responses counted, want 2", got)
	}
}

func TestReplicasAskDifferentSignersFirst(t *testing.T) {
	first := map[types.NodeID]bool{}
	for node := range types.NodeID(3) {
		r := newRig(t, config(node, 7))
		for _, ev := range r.run(mir.Event{To: self, Body: need(idOf(3, 0, "x"), 3, 4, 5, 6)}) {
			if send, ok := ev.Body.(mir.Send); ok {
				first[send.To[0]] = true
			}
		}
	}
	if len(first) != 3 || first[3] {
		t.Errorf("three replicas ask %v first, want three that are not the creator", first)
	}
}

func TestNoMoreThanFetchesMaxBatchesAreAskedForAtATime(t *testing.T) {
	r := newRig(t, wide(0, 4))
	const batches = FetchesMax + 3
	asked := 0
	for no := range types.BatchNo(batches) {
		asked += strings.Count(r.feed(need(idOf(3, no, "x"), 1, 2)), "request")
	}
	if asked != FetchesMax {
		t.Fatalf("%d batches are asked for at a time, want %d", asked, FetchesMax)
	}
	r.feed(tick{})
	if got := strings.Count(r.feed(tick{}), "request"); got != FetchesMax {
		t.Errorf("%d requests at a tick, want %d", got, FetchesMax)
	}
	for no := range types.BatchNo(batches) {
		id := idOf(3, no, "x")
		asked += strings.Count(r.feed(from(1, answer(id, "x")), from(2, answer(id, "x"))), "request")
	}
	if asked != batches || len(r.a.fetches) != 0 || len(r.a.asking) != 0 {
		t.Errorf("%d batches were asked for, want %d; %d still are", asked, batches, len(r.a.fetches))
	}
}

func TestAnswersToAPeerAreLimitedPerTick(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.feed(sent(1, 0, "x"))
	id := idOf(1, 0, "x")
	answers := 0
	for range 10 {
		answers += strings.Count(r.feed(from(2, Request{ID: id})), "response")
	}
	// Small answers count for answerBytesMin, 1024, of AnswerMax * 40 = 2560.
	if answers != 3 || r.a.Stats().Throttled != 7 {
		t.Errorf("%d answers and %d dropped requests, want 3 and 7", answers, r.a.Stats().Throttled)
	}
	r.want("response(1/0 x)>[3]", from(3, Request{ID: id}))
	r.want("", tick{})
	r.want("response(1/0 x)>[2] set", from(2, Request{ID: id}))
}

func TestNeededBatchIsAnsweredAtOnceWhenHeld(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.feed(sent(3, 0, "x"))
	r.want("data(x)", need(idOf(3, 0, "x"), 1, 2))
}

func TestMissingBatchMayStillComeFromItsCreator(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.feed(need(idOf(3, 0, "x"), 1, 2))
	r.want("ack(0)>[3] data(x)", sent(3, 0, "x"))
	r.want("", tick{})
}

func TestBadResponsesAreIgnored(t *testing.T) {
	r := newRig(t, config(0, 4))
	id := idOf(3, 0, "x")
	r.feed(need(id, 1, 2))
	// Replica 0 begins with the first signer for number 0.
	r.want("", from(2, answer(id, "x")), from(1, answer(id, "y")), from(1, answer(idOf(3, 1, "x"), "x")))
	if got := r.a.Stats().BadResponses; got != 2 {
		t.Errorf("%d bad responses counted, want 2", got)
	}
	r.want("data(x)", from(1, answer(id, "x")))
}

func TestNothingIsFetchedOnceItIsUsed(t *testing.T) {
	r := newRig(t, config(0, 4))
	id := idOf(3, 0, "x")
	r.feed(need(id, 1, 2))
	r.want("", used(id, 0), tick{}, tick{})
}

// A disk that lost the batch is a fault, but of one's own: the others may help.
func TestABatchThatOnlyThisReplicaSignedForIsAskedOfAll(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.want("request(0/0)>[1] set", need(idOf(0, 0, "x"), 0))
	newRig(t, config(0, 1)).want("set", need(idOf(0, 0, "x"), 0))
}
