package workload

import (
	"math/rand/v2"
	"time"

	"github.com/perfgate/perfgate/trantor/types"
)

// arenaBytes is how many different payloads a Source has.
const arenaBytes = 1 << 16

// payloadStride is odd, so that payloads repeat after arenaBytes only.
const payloadStride = 257

// Source makes transactions by number.
type Source struct {
	clients uint64
	payload int
	arena   []byte
}

// NewSource makes the transactions of a number of clients in turn, with
// payloads of that many pseudo-random bytes.
func NewSource(seed uint64, clients, payloadBytes int) *Source {
	s := &Source{clients: uint64(clients), payload: payloadBytes, arena: make([]byte, arenaBytes+payloadBytes)}
	rng := rand.New(rand.NewPCG(seed, uint64(payloadBytes)))
	for i := range s.arena {
		s.arena[i] = byte(rng.Uint64())
	}
	return s
}

// Tx is transaction number i. Its payload is shared and must not be changed.
func (s *Source) Tx(i uint64) types.Tx {
	at := i * payloadStride % arenaBytes
	return types.Tx{
		TxID:    types.TxID{Client: types.ClientID(i % s.clients), No: types.TxNo(i / s.clients)},
		Payload: s.arena[at : at+uint64(s.payload) : at+uint64(s.payload)],
	}
}

// Index is the number of the transaction with that identity.
func (s *Source) Index(id types.TxID) uint64 { return uint64(id.No)*s.clients + uint64(id.Client) }

// Schedule says when transactions are due in an open loop: at a constant rate,
// whatever becomes of them.
type Schedule struct {
	first    uint64 // is due at start
	start    time.Duration
	interval time.Duration
}

// NewSchedule makes transaction number first due at start, and then rate of
// them each second.
func NewSchedule(first uint64, start time.Duration, rate int) Schedule {
	return Schedule{first: first, start: start, interval: time.Second / time.Duration(rate)}
}

// Due is when transaction number i is due. Numbers below first were never due
// and give times before start.
func (s Schedule) Due(i uint64) time.Duration {
	return s.start + time.Duration(int64(i-s.first))*s.interval
}

// Tally is a set of numbers from 0 on, in a few words. Two sets of the same
// size that differ have the same sums by a coincidence only that no ordinary
// fault (a loss, a duplicate, one number for another) brings about.
type Tally struct {
	count, sum, squares uint64
}

// Add adds number i.
func (t *Tally) Add(i uint64) {
	t.count++
	t.sum += i
	t.squares += i * i
}

// Count is how many numbers were added.
func (t *Tally) Count() uint64 { return t.count }

// IsUpTo tells whether the numbers added are 0 to n-1, each once.
func (t *Tally) IsUpTo(n uint64) bool {
	var want Tally
	for i := range n {
		want.Add(i)
	}
	return *t == want
}
