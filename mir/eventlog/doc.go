// Package eventlog records what nodes apply, and reads recordings again: to
// list, to filter, to replay into modules step by step, and to look at in a
// Chrome trace viewer.
//
// A recording is a file that explains itself. It begins with a magic word, the
// version and the names of the modules; then come batches, each with a length, a
// checksum, and a table of the event names that it uses, so that a torn or
// corrupt batch spoils nothing before it. An event has the time, the node, the
// module and instance that it goes to, whether it is an input, its name, and its
// body in one of these forms:
//
//   - Received: a message from a peer, as the bytes of the Codec. Decodable.
//   - Message: any other body that the Codec encodes. Decodable.
//   - Due: mir.TimerDue, the input of mir.RealTimer. Decodable.
//   - Summary: of everything else a text, like that of %+v but bounded, the same
//     on every run, and without following pointers. Not decodable, with one
//     exception: package sim makes the Fire event of a timer an input itself, and
//     Replay finds it among the timers that the replayed modules have set.
//
// A program that wants its clients' requests replayed gives the recorder a Codec
// that knows those too. Where an active module such as a store answers later, a
// stand-in (ReplayConfig.Deferred) gives the replay its answers. A node with
// lanes can not be recorded: see mir.Lane.
//
// The one opinion: recording never blocks and never changes a run. A [Recorder]
// encodes an event on the node's goroutine, since nobody else may look at a body,
// into one of [BuffersMax] buffers; a goroutine of its own writes full buffers.
// When the writer does not keep up and no buffer is left, events are dropped and
// counted, and the recording says where and how many. In virtual time, where
// waiting changes nothing, Config.Wait makes a recording complete instead.
//
// Costs: for a message, some 0.1 µs beside its encoding; for a summary up to a
// microsecond, most of it reflection; and memory of at most
// BuffersMax * (BufferBytes + EventBytesMax), which is 10 MiB.
//
// What it does not do: it keeps no state of modules, so a replay begins where
// the recorded node began.
package eventlog
