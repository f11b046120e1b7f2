// Package wire is what clients and replicas say to each other: messages, their
// encoding, and the terms of the connection.
//
// A client opens one stream to a replica. On it go submissions (many
// transactions in one message) and watches (transactions whose delivery shall be
// told), and back come answers, many in one message: whether a transaction was
// taken, and what became of it.
//
// The connection is gRPC over TLS 1.3. A replica shows the Ed25519 key under
// which all know it, in a certificate that it signed itself; no authority is
// trusted. Clients are anonymous: what a client may do is the application's
// business.
//
// The package's one opinion is that an encoding is unique and that a decoder
// accepts nothing else, as in the messages between replicas (package types). It
// keeps no state and opens no connection.
package wire
