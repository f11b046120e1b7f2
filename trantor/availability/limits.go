package availability

// What may happen at one tick, which is RetryAfter long, or be kept at one time.
const (
	// ResendMax is how many own batches are sent again at a tick, however many
	// have no certificate: 16 * 512 KiB = 8 MiB to each silent member.
	ResendMax = 16
	// ResendWaitMax is how many ticks a silent member is left in peace, at most.
	ResendWaitMax = 64
	// ResentMax is how often a batch of an earlier epoch is sent again: each time
	// after twice as long.
	ResentMax = 4
	// FetchesMax is how many batches are asked for at a time:
	// 32 * 512 KiB = 16 MiB on their way here.
	FetchesMax = 32
	// AnswerMax batches of BatchBytesMax is what one peer gets in answers at a
	// tick: 64 * 512 KiB = 32 MiB, twice what a correct one asks for at a time.
	AnswerMax = 64
	// answerBytesMin is what an answer counts for at least.
	answerBytesMin = 1 << 10
	// EarlyMax is how many batches of a creator wait for an epoch to begin here:
	// 16 * 512 KiB = 8 MiB.
	EarlyMax = 16
)
