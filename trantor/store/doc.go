// Package store makes what a replica persists durable, on disk, with Pebble.
//
// The store serves types.Persist: what waits is written as one Pebble batch with
// one fsync (group commit), and then, not before, every Then is injected in
// order. A write that fails ends the store for good and stops the node, and
// nothing of its Then leaves: after a failed fsync nobody knows what the disk
// holds, so it is not tried again.
//
// The package's one opinion is that a replica would rather not start than vote
// from a past that it has forgotten. A torn end of the log, the trace of a crash
// while a group was being written, is harmless and dropped: nobody was told of
// that group. Everything else that is missing or altered shall be noticed when
// the store is opened. Pebble's checksums do most of it. These are added, since
// Pebble takes some damage for the end of its log (package record: any damage in
// the last 32 KiB, and more where records are large) or for an older state (its
// manifest is read up to the first damage):
//
//   - Each group carries its number and the sum of the hashes of all records
//     after it. At opening everything is read and summed again, so a group, a
//     table or a record that is missing in the middle, or has come back, is
//     noticed whatever the reason.
//   - Each group begins with a mark that is secret to the store. A mark behind
//     damage in a log proves that what is damaged was synced: the next group is
//     never written before the last is durable.
//   - The file TRANTOR, beside Pebble's, says how many groups there are at least.
//     It is written when a store is opened and closed and when Pebble has written
//     out a memory table, so that the state cannot fall back behind that.
//
// What cannot be noticed: the loss of the very last groups as a whole since
// TRANTOR was written, as if they had never been written. That is damage to the
// last group, or a log cut short or taken away together with nothing behind it.
// It looks exactly like a crash before they were written. Neither can the
// replacement of the whole directory by an older copy be noticed: never restore a
// replica's directory from a backup.
//
// It does not encrypt, does not repair, and keeps no history.
package store
