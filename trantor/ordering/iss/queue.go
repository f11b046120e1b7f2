package iss

import (
	"slices"

	"github.com/perfgate/perfgate/trantor/types"
)

// certKey names a certificate, whoever signed it.
type certKey struct {
	creator types.NodeID
	no      types.BatchNo
	batch   types.Digest
}

func keyOf(c types.Certificate) certKey { return certKey{creator: c.Creator, no: c.No, batch: c.Batch} }

// queue is the certificates that this replica is to get into the log, oldest
// first, each of them once: those that wait for a slot, and those in flight.
type queue struct {
	certs []types.Certificate  // Waiting.
	known map[certKey]bool     // Whether it is in flight.
	of    map[types.NodeID]int // How many are known, by creator.
}

func newQueue() *queue {
	return &queue{known: map[certKey]bool{}, of: map[types.NodeID]int{}}
}

// waiting tells whether any certificate waits.
func (q *queue) waiting() bool { return len(q.certs) > 0 }

// has tells whether a certificate waits or is in flight.
func (q *queue) has(c types.Certificate) bool {
	_, known := q.known[keyOf(c)]
	return known
}

// add puts a certificate at the end, unless it is known.
func (q *queue) add(c types.Certificate) {
	if q.has(c) {
		return
	}
	q.known[keyOf(c)] = false
	q.of[c.Creator]++
	q.certs = append(q.certs, c)
}

// take takes up to n of the oldest, which are then in flight.
func (q *queue) take(n int) []types.Certificate {
	out := q.oldest(n)
	for _, c := range out {
		q.known[keyOf(c)] = true
	}
	clear(q.certs[:len(out)])
	q.certs = q.certs[len(out):]
	return out
}

// oldest lists up to n of those that wait, without taking them.
func (q *queue) oldest(n int) []types.Certificate {
	return slices.Clone(q.certs[:min(n, len(q.certs))])
}

// oldestOf lists up to n of one creator's that wait, without taking them.
func (q *queue) oldestOf(creator types.NodeID, n int) []types.Certificate {
	var out []types.Certificate
	for _, c := range q.certs {
		if len(out) == n {
			break
		}
		if c.Creator == creator {
			out = append(out, c)
		}
	}
	return out
}

// putBack puts certificates that are in flight to the front again, except those
// that were forgotten meanwhile. It tells how many.
func (q *queue) putBack(certs []types.Certificate) int {
	var back []types.Certificate
	for _, c := range certs {
		if q.known[keyOf(c)] {
			q.known[keyOf(c)] = false
			back = append(back, c)
		}
	}
	q.certs = append(back, q.certs...)
	return len(back)
}

// forget drops a certificate: it is in the log, or cannot get there.
func (q *queue) forget(c types.Certificate) {
	flying, known := q.known[keyOf(c)]
	if !known {
		return
	}
	delete(q.known, keyOf(c))
	if q.of[c.Creator]--; q.of[c.Creator] == 0 {
		delete(q.of, c.Creator)
	}
	if !flying {
		q.certs = slices.DeleteFunc(q.certs, func(w types.Certificate) bool { return keyOf(w) == keyOf(c) })
	}
}

// sift forgets those waiting ones that are not to stay, and gives them back.
func (q *queue) sift(stays func(types.Certificate) bool) (gone []types.Certificate) {
	for _, c := range q.certs {
		if !stays(c) {
			gone = append(gone, c)
		}
	}
	for _, c := range gone {
		q.forget(c)
	}
	return gone
}
