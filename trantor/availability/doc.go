// Package availability spreads batches and certifies that they can be had.
//
// The creator of a batch sends it to every member; each stores it and answers
// with a signature; signatures of weight more than f make a certificate, for at
// least one correct replica then holds the batch (the dissemination layer of
// Narwhal and the proof of availability of ISS). Ordering sees certificates
// only, and delivery asks here for the batch behind one.
//
// Its one opinion is that batches are numbered by their creator, and that a
// replica holds one batch for each number of a sliding window, at most. That
// bounds what a faulty creator can make others store, and it bounds how long a
// certificate can be ordered: delivery skips a number that is in the log already.
//
// It does not order anything, and it looks into batches for one thing only:
// whether their clients are in the creator's buckets.
//
// # Buckets
//
// A batch says in which epoch it was made. A receiver acknowledges it only if
// its creator leads the buckets of all its clients in that epoch, and the epoch
// is the current one, the next, or one of BucketGrace before. A batch of an epoch
// that begins here in a moment waits for that, in small numbers (EarlyMax).
//
// It acknowledges no batch with a transaction of types.ConfigClient that is no vote
// of a replica (CheckVote): a certificate then says that a correct replica has
// found all of its votes signed.
//
// Without buckets (Buckets is 0) a batch may hold anybody's transactions, of any
// epoch.
//
// A batch that found no certificate in that time never will. Its creator then
// voids its number: it gives the transactions back to the mempool
// (types.BatchVoided) and has an empty batch of that number certified instead,
// which uses the number up in the log and delivers nothing. Receivers certify it
// even if they hold the first batch: which of the two counts is what the log
// says first.
//
// # Loss
//
// Whatever is lost is sent again at the module's tick, RetryAfter after the one
// before, and there is a tick only while something is under way. At a tick go out
// ResendMax batches at most, in turn, to those members that have not acknowledged
// them; one that stays silent is left out of the next tick, then of two, four, up
// to ResendWaitMax. A batch that delivery lacks is asked of one signer of its
// certificate after the other, FetchesMax batches at a time: each replica begins
// with another signer and asks the creator, who has sent it to everybody, last.
// Answers to one peer are limited to AnswerMax batches at a tick.
//
// # Durability
//
// A batch is durable before it is acknowledged, and one's own before it is sent:
// an acknowledgement is a promise to hold the batch, and a number that was once
// sent never names another batch. The record goes when the batch is collected.
// Empty batches need none: there is nothing to hold.
//
// A disk may be slower than all creators together. Of what peers send,
// StoringBytesMax at most is on its way to the disk, each creator having its share
// of that; what is beyond is refused, and a correct creator sends it again.
//
// # Order
//
// Certificates of one's own batches go to ordering in the order of their numbers,
// so that the order of the mempool is kept as far as this module goes.
//
// # Memory
//
// For each creator: WindowSize batches that are not ordered, and HeldBytesMax
// bytes of them. With 256 batches of 512 KiB the window alone would allow
// 128 MiB; HeldBytesMax is what a correct creator may have pending, 64 MiB by
// default. Beside them EarlyMax batches of the next epoch, 8 MiB. Then the batches
// that delivery waits for, which it bounds, and those ordered in the last
// KeepEpochs epochs and in those without a stable checkpoint.
package availability
