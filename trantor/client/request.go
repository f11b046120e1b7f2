package client

import (
	"bytes"
	"container/list"
	"time"

	"github.com/perfgate/perfgate/trantor/client/wire"
	"github.com/perfgate/perfgate/trantor/types"
)

// request is a transaction in flight. The client's lock guards it.
type request struct {
	tx      types.Tx
	done    func(Result, error)
	asks    []ask // By link.
	place   *list.Element
	retryAt time.Time
	retries int
}

// ask is what one replica was asked about a transaction and what it said.
type ask struct {
	asked     bool // It was asked, on this connection or one before.
	submitted bool // It gets the transaction, not only a watch.
	queued    bool // Waits to be sent; so it is in the link's queue once at most.
	told      bool // It said its last word:
	answer    wire.Answer
}

// delivered and refused are the two last words.
func (a *ask) delivered() bool { return a.told && a.answer.Code == wire.Delivered }
func (a *ask) refused() bool   { return a.told && a.answer.Code != wire.Delivered }

// onAnswer takes a replica's answer. It returns what to call once the lock is
// released, or nil.
func (c *Client) onAnswer(l *link, answer wire.Answer) func() {
	r := c.pending[answer.ID]
	if r == nil || !r.asks[l.index].asked {
		return nil
	}
	a := &r.asks[l.index]
	switch {
	case a.delivered():
		return nil // Its first word counts.
	case answer.Code == wire.Accepted:
		a.told = false // What it refused before, it has taken now.
		return nil
	}
	a.told, a.answer = true, answer
	finish := c.onRefused
	if answer.Code == wire.Delivered {
		finish, l.slow = c.onDelivered, false
	}
	done := finish(r, answer)
	if done == nil {
		// It said what decides nothing: others may have to be asked in its
		// place.
		c.ask(r)
	}
	return done
}

func (c *Client) onDelivered(r *request, answer wire.Answer) func() {
	weight, others := c.agreement(r, answer)
	if !c.enough(weight) {
		return nil
	}
	c.stats.Conflicts += others
	c.drop(r)
	if answer.Tag != wire.TagOf(r.tx.Payload) {
		return func() { r.done(Result{}, ErrTaken) }
	}
	result := Result{Seq: answer.Seq, Data: answer.Result}
	return func() { r.done(result, nil) }
}

// agreement is the weight of the replicas that told of the delivery as answer
// does, and how many told of another one.
func (c *Client) agreement(r *request, answer wire.Answer) (weight, others uint64) {
	for i, a := range r.asks {
		switch {
		case !a.delivered():
		case a.answer.Seq == answer.Seq && a.answer.Tag == answer.Tag && bytes.Equal(a.answer.Result, answer.Result):
			weight += c.links[i].member.Weight
		default:
			others++
		}
	}
	return weight, others
}

// onRefused believes a refusal of weight more than f, since one of those is
// correct.
func (c *Client) onRefused(r *request, answer wire.Answer) func() {
	weight := uint64(0)
	for i, a := range r.asks {
		if a.refused() {
			weight += c.links[i].member.Weight
		}
	}
	if !c.enough(weight) {
		return nil
	}
	c.drop(r)
	return func() { r.done(Result{}, answer.Code.Err()) }
}
