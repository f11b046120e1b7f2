package iss

import (
	"testing"

	"github.com/perfgate/perfgate/trantor/types"
)

func wantCerts(t *testing.T, what string, got []types.Certificate, nos ...int) {
	t.Helper()
	if show(types.Proposal{Certs: got}) != show(value(nos...)) {
		t.Errorf("%s: %s, want %s", what, show(types.Proposal{Certs: got}), show(value(nos...)))
	}
}

func TestQueueHoldsEachCertificateOnce(t *testing.T) {
	q := newQueue()
	for _, no := range []int{1, 2, 1, 3, 4} {
		q.add(cert(no))
	}
	first := q.take(2)
	wantCerts(t, "first", first, 1, 2)
	q.add(cert(1)) // It is in flight.
	q.forget(cert(2))
	q.forget(cert(3))
	if got := q.putBack(first); got != 1 {
		t.Errorf("%d put back, want 1", got)
	}
	q.add(cert(3)) // It was forgotten, so it is new.
	wantCerts(t, "oldest", q.oldest(9), 1, 4, 3)
	wantCerts(t, "all", q.take(9), 1, 4, 3)
	if q.waiting() || q.of[1] != 3 {
		t.Errorf("waiting %v, %d known of replica 1, want none and 3", q.waiting(), q.of[1])
	}
}

func TestQueueSifts(t *testing.T) {
	q := newQueue()
	for no := range 5 {
		q.add(cert(no))
	}
	q.take(1)
	gone := q.sift(func(c types.Certificate) bool { return c.No%2 == 0 })
	wantCerts(t, "gone", gone, 1, 3)
	wantCerts(t, "left", q.take(9), 2, 4)
}
