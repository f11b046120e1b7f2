package wire

import (
	"errors"
	"fmt"

	"github.com/perfgate/perfgate/trantor/mempool"
)

// Code is the kind of an answer. The values are part of the encoding.
type Code uint8

// The codes. All but the first two are refusals.
const (
	Accepted       Code = iota // It is pending here, and its delivery will be told.
	Delivered                  // It is applied; the answer carries position and result.
	Forgotten                  // It was delivered, but its result is not kept any more.
	WindowFull                 // Its number is too far above the lowest undelivered one of its client.
	Full                       // The replica holds as much as it can.
	TooLarge                   // No replica will ever take it.
	TooManyClients             // No room for another client.
	Refused                    // The mempool gave another reason.
	Stopping                   // The replica is about to stop: ask another one.
	Invalid                    // A transaction of types.ConfigClient that is no vote of a replica.

	codes
)

// Errors that only a remote replica gives; the others are the mempool's.
var (
	// ErrStopping: the replica is about to stop.
	ErrStopping = errors.New("the replica is stopping")
	// ErrRefused: the replica gave a reason that this client does not know.
	ErrRefused = errors.New("refused by the replica")
)

var names = [codes]string{
	"accepted", "delivered", "forgotten", "window-full", "full", "too-large", "too-many-clients", "refused", "stopping", "invalid",
}

func (c Code) String() string {
	if c < codes {
		return names[c]
	}
	return fmt.Sprintf("code(%d)", uint8(c))
}

// Codes lists all codes.
func Codes() []Code {
	all := make([]Code, codes)
	for i := range all {
		all[i] = Code(i)
	}
	return all
}

// refusals pairs codes with errors.
var refusals = []struct {
	code Code
	err  error
}{
	{Forgotten, mempool.ErrDelivered},
	{WindowFull, mempool.ErrWindowFull},
	{Full, mempool.ErrFull},
	{TooLarge, mempool.ErrTooLarge},
	{TooManyClients, mempool.ErrTooManyClients},
	{Invalid, mempool.ErrInvalid},
	{Stopping, ErrStopping},
	{Refused, ErrRefused},
}

// CodeOf is the code for what the mempool answered to a submission. A
// transaction that is pending already counts as accepted.
func CodeOf(err error) Code {
	if err == nil || errors.Is(err, mempool.ErrDuplicate) && !errors.Is(err, mempool.ErrDelivered) {
		return Accepted
	}
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return r.code
		}
	}
	return Refused
}

// Err is the error that a code stands for: nil where it is no refusal.
func (c Code) Err() error {
	for _, r := range refusals {
		if c == r.code {
			return r.err
		}
	}
	return nil
}
