package main

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/types"
)

// historyMax bounds the lines that a room remembers, at up to 64 KiB each.
const historyMax = 100

// room is the replicated application: a numbered list of lines. It must be
// deterministic, since every replica runs its own copy.
type room struct {
	said  uint64   // Lines so far.
	lines []string // The last of them, at most historyMax.
}

var _ app.Application = (*room)(nil)

// Apply adds a line and returns it with its number.
func (r *room) Apply(tx types.Tx) []byte {
	r.said++
	r.lines = append(r.lines, string(tx.Payload))
	r.lines = r.lines[max(0, len(r.lines)-historyMax):]
	return fmt.Appendf(nil, "%d  %s", r.said, tx.Payload)
}

// Snapshot is the number of lines so far, then the remembered ones, each with
// its length before it.
func (r *room) Snapshot() []byte {
	b := binary.AppendUvarint(nil, r.said)
	for _, line := range r.lines {
		b = binary.AppendUvarint(b, uint64(len(line)))
		b = append(b, line...)
	}
	return b
}

// Restore is the reverse of Snapshot. The bytes come from another replica, so
// they are checked before the room changes.
func (r *room) Restore(snapshot []byte) error {
	said, n := binary.Uvarint(snapshot)
	if n <= 0 {
		return errors.New("chat: a snapshot without a number of lines")
	}
	var lines []string
	for b := snapshot[n:]; len(b) > 0; {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) || len(lines) == historyMax {
			return fmt.Errorf("chat: a malformed snapshot after %d lines", len(lines))
		}
		lines = append(lines, string(b[n:n+int(size)]))
		b = b[n+int(size):]
	}
	r.said, r.lines = said, lines
	return nil
}

// Hash tells whether two rooms are in the same state.
func (r *room) Hash() types.Digest { return sha256.Sum256(r.Snapshot()) }
