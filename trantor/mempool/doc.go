// Package mempool takes transactions from clients, cuts those that are this
// replica's to order into batches, and forwards the others.
//
// Its one opinion is that overload is refused at the door, with a typed error
// to whoever submitted, and that nothing accepted is ever dropped: what a client
// submitted stays here, and counted, until the log has passed it.
//
// It does not look into payloads, with one exception: those of types.ConfigClient,
// whose ID anybody may use, must be votes that a replica signed (CheckVote), so
// that nobody else can use up their numbers. A transaction that a client submitted to
// several replicas is delivered once, by delivery.
//
// # Buckets
//
// Each client belongs to a bucket, and each bucket to one leader of an epoch,
// with every epoch to the next one (ISS, section 3): two leaders do not order one
// transaction twice, and none can keep one out for long. A mempool takes
// transactions of all clients. Those in its own buckets go into its batches; the
// others it forwards to the leader of their bucket, many in one message, which
// takes them as if they were submitted there, except that nobody is told.
//
// A batch, and a message, closes when it holds enough transactions or bytes,
// after BatchTimeout, or at once where nothing before it is on its way. A message
// is full with BatchTxsMax divided by the number of leaders: where clients spread
// over all buckets, it waits as long for its transactions as a batch would.
//
// When an epoch begins, the batch being filled is closed for the epoch before,
// and messages being filled are sorted again. What was forwarded and is not
// delivered is sent again, to whom the bucket belongs by then, when a whole epoch
// has passed since, and also after RetryAfter, when ordering is asked for the end
// of the epoch (types.WantEpoch): the leader may be silent. At a tick, or when an
// epoch begins, one leader gets ReforwardMax batches' worth again at most, oldest
// first. Before the first epoch begins everything waits.
//
// With Buckets 0 there are none: a replica's batches hold what its clients
// submitted, nothing is forwarded, and an epoch that begins closes no batch. A
// faulty replica can then keep out what was submitted to it alone.
//
// # Order of one client
//
// Transactions of a client are batched, and forwarded, in the order in which they
// were submitted here. They are delivered in that order if they are submitted at
// one replica and, between the first and the last, no message is lost or exceeds
// its sender's share, no leader is deposed, and no epoch begins. Where order is
// asked for in any case, delivery sees to it (its ClientOrder), and this makes it
// cheap.
//
// # Memory
//
// Transactions that are accepted and not passed by the log are bounded by
// PendingBytesMax, 64 MiB by default, and about 150 bytes more for each. Of these
// one peer's take ForwardedBytesMax at most: 64 MiB / (2 * 4) = 8 MiB among four
// replicas, so that all peers together leave half of the room to the clients of
// this one. Clients are bounded by ClientsMax, each a window of WindowSize bits.
//
// # Clients
//
// A client has a place among ClientsMax, at all replicas and for good, once a
// transaction of it is delivered; delivery has the rule. Before that it has one
// only here, while something that it submitted here is pending, so that nobody
// waits for what delivery would drop; transactions that peers forward count
// nothing. Clients beyond get ErrTooManyClients, and Stats counts places and
// refusals.
//
// What this does not prevent: nobody proves who he is by a client ID. Whoever
// invents ClientsMax of them, and has one transaction of each delivered, has taken
// all places for good, and new clients are refused from then on; those who have a
// place go on. It takes client signatures, or fees, to do better. Until then
// whoever serves clients must bound how many IDs one of them uses, and a system
// with many short-lived clients needs a higher ClientsMax.
package mempool
