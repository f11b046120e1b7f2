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

// onAnswer takes a replica's answer. It returns what to call once the lock is
// released, or nil.
func (c *Client) onAnswer(l *link, answer wire.Answer) func() {
	r := c.pending[answer.ID]
	if r == nil || !r.asks[l.index].asked || answer.Code == wire.Accepted {
		return nil
	}
	a := &r.asks[l.index]
	if a.told && a.answer.Code == wire.Delivered {
		return nil // Its first word counts.
	}
	a.told, a.answer = true, answer
	if answer.Code == wire.Delivered {
		return c.onDelivered(r, a)
	}
	return c.onRefused(r, l, answer)
}

func (c *Client) onDelivered(r *request, by *ask) func() {
	weight, others := uint64(0), uint64(0)
	for i, a := range r.asks {
		switch {
		case !a.told || a.answer.Code != wire.Delivered:
		case a.answer.Seq == by.answer.Seq && a.answer.Tag == by.answer.Tag && bytes.Equal(a.answer.Result, by.answer.Result):
			weight += c.links[i].member.Weight
		default:
			others++
		}
	}
	if !c.enough(weight) {
		return nil
	}
	c.stats.Conflicts += others
	c.drop(r)
	if by.answer.Tag != wire.TagOf(r.tx.Payload) {
		return func() { r.done(Result{}, ErrTaken) }
	}
	result := Result{Seq: by.answer.Seq, Data: by.answer.Result}
	return func() { r.done(result, nil) }
}

// onRefused believes a refusal of weight more than f, since one of those is
// correct; before, it asks the next replica.
func (c *Client) onRefused(r *request, by *link, answer wire.Answer) func() {
	weight := uint64(0)
	for i, a := range r.asks {
		if a.told && a.answer.Code != wire.Delivered {
			weight += c.links[i].member.Weight
		}
	}
	if c.enough(weight) {
		c.drop(r)
		return func() { r.done(Result{}, answer.Code.Err()) }
	}
	for i := range c.links {
		next := c.links[(by.index+1+i)%len(c.links)]
		if next.connected && !r.asks[next.index].submitted {
			c.submitTo(next, r)
			return nil
		}
	}
	return nil
}
