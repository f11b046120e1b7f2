package bottleneck

import "regexp"

// Cause is an entry of the catalogue: why time goes by in a place.
type Cause struct {
	// ID is part of the name of a bottleneck, "hash@shop/cart".
	ID    string `json:"id"`
	Title string `json:"title"`
	// Signs says in words how it is recognised, and Pattern is that: it is matched
	// against full names of functions ("crypto/sha256.Sum256").
	Signs   string `json:"signs"`
	Pattern string `json:"pattern,omitempty"`
	// Remedy is what usually helps, and Expect what to expect of it.
	Remedy string `json:"remedy"`
	Expect string `json:"expect"`

	match *regexp.Regexp
}

// Causes that the code names.
const (
	ownCode     = "own-code"
	library     = "library"
	allocation  = "allocation"
	collector   = "gc"
	contention  = "contention"
	lockAcross  = "lock-io"
	fullChannel = "full-channel"
	idle        = "idle"
	diskSync    = "fsync"
	netWrite    = "small-writes"
	netRead     = "reads"
	profiler    = "profiler"
)

// Catalogue is the causes that CPU samples and allocations are filed under, in
// the order in which they are tried: what includes others comes first, since a
// map that grows also allocates. The last three match what is left.
var Catalogue = compiled([]Cause{
	{ID: collector, Title: "garbage collection",
		Signs:   "mark workers, assists, sweeping, write barriers",
		Pattern: `^runtime\.(gc[A-Z]\w*|bgsweep|bgscavenge|sweepone|scan[oO]bject\w*|greyobject|markroot\w*|wbBufFlush\w*|wbZero|wbMove|bulkBarrier\w*|\(\*(sweepLocked|sweepLocker|gcWork|gcControllerState|gcBits|wbBuf|scavengerState|pageAlloc)\)\..*|deductSweepCredit)$`,
		Remedy:  "allocate less (see the allocations below it), keep the heap flat, give memory that lives long one arena without pointers; a larger GOGC trades memory for it",
		Expect:  "in proportion to the bytes that are no longer allocated"},
	{ID: diskSync, Title: "a sync to disk for each entry",
		Signs:   "fsync and fdatasync below the place",
		Pattern: `^(syscall\.(Fsync|Fdatasync|fsync|fdatasync)|golang\.org/x/sys/unix\.(Fsync|Fdatasync|SyncFileRange)|os\.\(\*File\)\.Sync|internal/poll\.\(\*FD\)\.Fsync)$`,
		Remedy:  "group commit: collect what waits for the disk while one sync runs, and sync once for all of it",
		Expect:  "the wait for a sync divided by the number of entries in a group; the CPU of the calls with it"},
	{ID: netWrite, Title: "small writes",
		Signs:   "write system calls below the place",
		Pattern: `^(syscall\.(write|Write|Sendto|sendto|SendmsgN|sendmsg\w*|writev)|internal/poll\.\(\*FD\)\.(Write\w*|Pwrite)|golang\.org/x/sys/unix\.(Write|Sendmsg\w*))$`,
		Remedy:  "coalesce: one buffered write, or one writev, for everything that is queued for a peer or a file",
		Expect:  "nearly all of it where a write carries one message; little where writes are large already"},
	{ID: netRead, Title: "small reads",
		Signs:   "read system calls below the place",
		Pattern: `^(syscall\.(read|Read|Recvfrom|recvfrom|recvmsg\w*)|internal/poll\.\(\*FD\)\.(Read\w*|Pread)|golang\.org/x/sys/unix\.(Read|Recvmsg\w*))$`,
		Remedy:  "a larger read buffer, so that one call brings many messages",
		Expect:  "nearly all of it where messages are small; little where reads are large already"},
	{ID: "syscall", Title: "other system calls",
		Signs:   "system calls below the place that neither write, read nor sync: opening, allocating room on disk, memory maps, polling",
		Pattern: `^(syscall\.\w*[sS]yscall\w*|syscall\.(open\w*|Open\w*|fstat\w*|unlink\w*|mmap|munmap|epoll\w*)|internal/runtime/syscall(/linux)?\.\w+|golang\.org/x/sys/unix\.\w+)$`,
		Remedy:  "do it once and keep it: files kept open and reused, room allocated in large pieces",
		Expect:  "nearly all of it"},
	{ID: "verify-batch", Title: "verification of signatures in batches",
		Signs:   "a batch verifier below the place",
		Pattern: `(?i)\.\(\*?batchverifier\)\.verify\w*$|\.verifybatch\w*$`,
		Remedy:  "stop at the quorum, skip one's own, cache what was verified, larger batches, and the workers of another core",
		Expect:  "what is not verified twice costs nothing; larger batches bring less and less"},
	{ID: "verify", Title: "verification of signatures one by one",
		Signs:   "Verify of Ed25519, ECDSA, RSA, BLS below the place, and no batch verifier",
		Pattern: `(?i)^(crypto/(ed25519|ecdsa|rsa|x509)|[^ ]*(ed25519|ecdsa|schnorr|secp256|bls)[^ ]*)\.(\(\*?\w+\)\.)?verify\w*$`,
		Remedy:  "verify in batches, stop at the quorum, skip one's own, cache what was verified, and use the workers of another core",
		Expect:  "a signature in a batch costs down to a quarter of one alone; what is not verified twice costs nothing"},
	{ID: "sign", Title: "signing",
		Signs:   "Sign of Ed25519, ECDSA, RSA, BLS below the place",
		Pattern: `(?i)^(crypto/(ed25519|ecdsa|rsa)|[^ ]*(ed25519|ecdsa|schnorr|secp256|bls)[^ ]*)\.(\(\*?\w+\)\.)?(sign\w*|newkeyfromseed\w*|newprivatekey\w*)$`,
		Remedy:  "sign one digest for many messages (a batch, a Merkle root), keep the expanded key, and sign on another core",
		Expect:  "divided by the number of messages under one signature"},
	{ID: "encrypt", Title: "encryption of links",
		Signs:   "TLS records, AES-GCM, ChaCha20 below the place",
		Pattern: `^(crypto/tls|crypto/aes|crypto/cipher|crypto/internal/fips140/aes\S*|golang\.org/x/crypto/chacha20\S*)\.`,
		Remedy:  "full records instead of one for each message; authenticate without encrypting where that is enough",
		Expect:  "the part per record goes with coalescing, the part per byte stays"},
	{ID: "hash", Title: "hashing",
		Signs:   "SHA-1, SHA-2, SHA-3, BLAKE, checksums below the place",
		Pattern: `^(crypto/(sha\d+|md5|hmac)|crypto/internal/fips140/(sha\d+|hmac)|hash/\w+|golang\.org/x/crypto/(sha3|blake2\w)|github\.com/(cespare/xxhash\S*|zeebo/\w+|minio/sha\S*))\.`,
		Remedy:  "hash once and carry the digest along; hash the bytes of the wire instead of encoding again; one hash for a batch instead of one for each entry",
		Expect:  "divided by the number of places that hash the same bytes; short inputs cost a block each, so that batching them helps more than their bytes say"},
	{ID: "format", Title: "formatting and reflection",
		Signs:   "fmt, reflect, text templates below the place",
		Pattern: `^(fmt|reflect|internal/reflectlite|text/template|log|log/slog)\.`,
		Remedy:  "typed code instead of reflection, strconv.Append into a buffer instead of fmt, identities as integers instead of strings",
		Expect:  "most of it"},
	{ID: "serialise", Title: "serialisation",
		Signs:   "encoding/json, gob, xml, asn1, Protocol Buffers, compression below the place",
		Pattern: `^(encoding/(json|gob|xml|asn1|base64|hex|csv)\S*|google\.golang\.org/protobuf\S*|compress/\w+|github\.com/(golang/snappy|klauspost/compress\S*|vmihailenco/msgpack\S*))\.`,
		Remedy:  "encode once and send the same bytes to all; a layout that can be read in place; bytes that are passed on undecoded",
		Expect:  "all but one of the encodings of the same value"},
	{ID: "map", Title: "map churn",
		Signs:   "map assignment, lookup, deletion, growth and iteration below the place",
		Pattern: `^(internal/runtime/maps\.|runtime\.(map(assign|access|delete|iter|clear|clone|init|iterinit|iternext)\w*|makemap\w*|memhash\w*|strhash\w*|typehash)|reflect\.map\w*|sync\.\(\*Map\))`,
		Remedy:  "index by number: a slice or a ring with a base, a bitset for membership; sized once where it must be a map",
		Expect:  "most of it where keys are dense numbers, half of it where a size hint ends the growing"},
	{ID: "goroutine", Title: "a goroutine for each piece of work",
		Signs:   "creation and exit of goroutines below the place",
		Pattern: `^(runtime\.(newproc\w*|malg|gfget|gfput|goexit0|gdestroy)|golang\.org/x/sync/errgroup\.)`,
		Remedy:  "a fixed set of workers that take work from a queue, or do it at once where it is short",
		Expect:  "the creation of each, and the wake-up with it"},
	{ID: "channel", Title: "channel hops",
		Signs:   "channel send, receive, select and close, and what they wake, below the place",
		Pattern: `^(runtime\.(chansend\w*|chanrecv\w*|selectgo|selectnb\w*|closechan|send|recv|sellock|selunlock)|reflect\.(rselect|chansend|chanrecv))$`,
		Remedy:  "hand over batches; a mailbox that is a slice under one lock, swapped whole; do it on the same goroutine",
		Expect:  "divided by the size of a batch: a hop costs 50 to 230 ns, and a wake-up more"},
	{ID: "timer", Title: "timer churn and readings of the clock",
		Signs:   "creation, reset and stop of timers, time.Now below the place",
		Pattern: `^(time\.(NewTimer|NewTicker|AfterFunc|After|Tick|Now|Since|Until|now|newTimer|resetTimer|stopTimer|\(\*(Timer|Ticker)\)\.\w+)|runtime\.(nanotime\w*|walltime\w*|time_now|\(\*timers?\)\..*)|context\.(WithTimeout|WithDeadline)\w*)$`,
		Remedy:  "one timer for many deadlines (a wheel), one reading of the clock for a batch",
		Expect:  "nearly all of it"},
	{ID: "lock", Title: "locking and waking up",
		Signs:   "mutexes, semaphores and condition variables below the place",
		Pattern: `^(sync\.\(\*(RW)?Mutex\)|internal/sync\.\(\*Mutex\)|sync\.\(\*(Cond|WaitGroup|Once|Pool)\)|runtime\.(lock2?|lockWithRank|unlock2?|semacquire\w*|semrelease\w*|notifyListW\w*|notifyListN\w*|readyWithTime))`,
		Remedy:  "take the lock once for a batch, hold it for the swap of a slice and not for the work, or shard it",
		Expect:  "divided by the size of a batch: an uncontended lock costs about 30 ns, a contended one a wake-up"},
	{ID: "sort", Title: "sorting",
		Signs:   "package sort and the sorting of package slices below the place",
		Pattern: `^(sort\.|slices\.(Sort\w*|insertionSort\w*|pdqsort\w*|heapSort\w*|breakPatterns\w*))`,
		Remedy:  "keep it sorted where it is inserted, or sort once for a batch",
		Expect:  "most of it"},
	{ID: allocation, Title: "allocation",
		Signs:   "malloc, growing slices, strings from bytes below the place, and the part of garbage collection that the allocated bytes cause",
		Pattern: `^runtime\.(malloc\w*|newobject|newarray|growslice\w*|makeslice\w*|makechan\w*|raw(byteslice|string|runeslice)\w*|concatstring\w*|slicebytetostring\w*|stringtoslicebyte\w*|convT\w*|persistentalloc\w*|nextFreeFast|memclrNoHeapPointersChunked|\(\*m(cache|central|heap)\)\..*)$`,
		Remedy:  "slices sized once, buffers that are reused, views of the received bytes instead of copies, values instead of pointers",
		Expect:  "nearly all of it, with its part of garbage collection"},
	{ID: "copy", Title: "copying",
		Signs:   "memmove and clearing of memory below the place, without an allocation",
		Pattern: `^runtime\.(memmove|memclr\w*|typedmemmove|typedslicecopy|typedmemclr|slicecopy|duffcopy|duffzero)$`,
		Remedy:  "pass a slice of the same bytes on, and let one of them own it; write into the buffer that is sent",
		Expect:  "divided by the number of copies of the same bytes"},
	{ID: "scheduler", Title: "scheduling of goroutines",
		Signs:   "the scheduler, futexes and the network poller, on no package's stack",
		Pattern: `^runtime\.(mcall|park_m|schedule|findRunnable|gosched\w*|goready|ready|goschedImpl|goyield\w*|futex\w*|wakep|notewakeup|notesleep\w*|notetsleep\w*|stopm|startm|usleep|osyield|sysmon|mstart\w*|mPark|netpoll\w*|goexit1|preemptM|morestack|newstack|exitsyscall\w*|entersyscall\w*|runqgrab|stealWork|resetspinning|execute)$`,
		Remedy:  "fewer hand-overs between goroutines: batches, and work done where the input arrives",
		Expect:  "in proportion to the hops and wake-ups that go"},
	{ID: profiler, Title: "the profiler itself",
		Signs:   "the runtime's and package pprof's own work",
		Pattern: `^(runtime\.(sigprof\w*|\(\*profBuf\)\..*|sigtramp\w*|sighandler|profilealloc|mProf_\w+)|runtime/pprof\.)`,
		Remedy:  "none: it is not there without a profiler", Expect: "nothing"},
	{ID: library, Title: "code of a library",
		Signs:  "calls of another module or of the standard library that no other cause explains",
		Remedy: "call it less often, with more at once, or replace the call by what is needed of it",
		Expect: "depends on the call: the bound is all that is known"},
	{ID: ownCode, Title: "the package's own code",
		Signs:  "samples in the package itself, with no call left",
		Remedy: "look at the functions named: a better data structure or less work for each operation",
		Expect: "depends on the code: the bound is all that is known"},
})

// Waiting is the causes that the mutex and the block profile are filed under.
var Waiting = compiled([]Cause{
	{ID: lockAcross, Title: "a lock held across I/O",
		Signs:  "others wait for a lock that the place releases, and the same function writes, reads or syncs (CPU profile)",
		Remedy: "take what is to be written out under the lock, and write without it",
		Expect: "the length of the I/O leaves the waiting time; the bound holds if all of it did"},
	{ID: contention, Title: "contention for a lock",
		Signs:   "mutex profile: others waited for a lock that the place released",
		Pattern: `.`,
		Remedy:  "hold it shorter (swap a slice, work outside), take it once for a batch, or shard it",
		Expect:  "the waiting time; no CPU is won, so the bound is that of the cores"},
	{ID: fullChannel, Title: "a queue that is full",
		Signs:   "block profile: the place waited to send into a channel",
		Pattern: `^runtime\.chansend\w*$`,
		Remedy:  "nothing here: the receiver is the bottleneck. Hand over batches, or give the receiver's work to more goroutines",
		Expect:  "the waiting time, once the receiver keeps up"},
	{ID: idle, Title: "waiting for something to do",
		Signs:   "block profile: receiving, selecting, condition variables, wait groups",
		Pattern: `.`,
		Remedy:  "none by itself: who waits for work is not what is narrow. It is shown and not ranked",
		Expect:  "nothing"},
})

func compiled(causes []Cause) []Cause {
	for i, c := range causes {
		if c.Pattern != "" {
			causes[i].match = regexp.MustCompile(c.Pattern)
		}
	}
	return causes
}

// find is the cause of that ID.
func find(causes []Cause, id string) *Cause {
	for i := range causes {
		if causes[i].ID == id {
			return &causes[i]
		}
	}
	panic("bottleneck: the catalogue has no cause " + id)
}

// ranked tells whether removing the cause is something to propose.
func (c *Cause) ranked() bool { return c.ID != profiler && c.ID != idle }
