// Package benchsuite is the fixed suite that measures mir and trantor: ordinary
// Go benchmarks, so that go test -bench runs them and benchstat reads them. It
// holds no code; the benchmarks are in package micro, which measures modules,
// and package macro, which measures the whole stack under load that package
// workload makes. docs/SUITE.md tells how to run them and what each one means.
//
// The names are API: stored baselines are kept under package and name. A
// benchmark's doc comment says in which sizes of the suite it runs
// (//perfgate:sizes); those without run in gate and full. The manifest is
// generated from all this.
//
// # Micro
//
// The units are sec/op, B/op and allocs/op.
//
//	framework     Dispatch FanOut Timer Inject Inproc
//	network       NetRoundTrip NetBroadcast
//	wire          Encode Decode EncodeBatch DecodeBatch
//	types         Window WindowEncode Quorum
//	mempool       Submit MakeBatch
//	crypto        HashBatch Sign Verify CertBuild CertVerify
//	availability  Store Certify VerifyAvailability Retrieve
//	ordering      Agree ViewChange Epoch
//	checkpoint    Checkpoint
//	delivery      Deliver Dedup DeliverySnapshot
//	application   KV KVSnapshot
//
// # Macro
//
// An operation is a transaction of 256 B, on all replicas together.
//
//	Virtual     CPU of the stack without signatures, and in seeded virtual
//	            time msgs/tx, wire-bytes/tx, events/tx, signs/batch,
//	            verifies/batch, sim-p50-latency-sec, sim-p99-latency-sec: exact
//	ClosedLoop  tx/s of a saturated cluster with Ed25519 in real time
//	Stations    the closed loop with profiler labels by module, which reports
//	            what each module does and what waits for it, for perfgate
//	            bottlenecks
//	OpenLoop    p50-latency-sec and p99-latency-sec by schedule at a fixed rate
//	Crash       sim-recovery-sec after a leader crashed: exact; an operation is
//	            a whole run
//
// A benchmark that says something only from a number of operations on reports
// that number as min-n.
package benchsuite
