package artifact

// Limits of one artifact. A bundle's samples are about 250 bytes each: a long
// nightly run of 200 benchmarks x 250 pairs x 4 metrics makes 12 MiB a side, and
// packs to a tenth.
const (
	// ZipBytesMax bounds the archive as it is downloaded.
	ZipBytesMax = 32 << 20
	// FileBytesMax and TotalBytesMax bound one file and all files, inflated.
	FileBytesMax  = 64 << 20
	TotalBytesMax = 128 << 20
	// EntriesMax bounds files and folders. A bundle has six files; profiles are
	// 2 sides x 8 replicates x 5 kinds for each benchmark that changed, with a folder
	// for each side of it, so this is room for 49 of them.
	EntriesMax = 4096
	// NameBytesMax and NameDepthMax bound the path of a file.
	NameBytesMax = 512
	NameDepthMax = 8

	// OutcomeBytesMax bounds outcome.json, MessageBytesMax its message.
	OutcomeBytesMax = 64 << 10
	MessageBytesMax = 8 << 10
)

// Limits of all artifacts of one run.
const (
	// ListedMax bounds how many artifacts of a run are looked at: the shards of
	// several attempts, and what other jobs upload.
	ListedMax = 2000
	// RunBytesMax bounds the inflated bundles of all shards together: they are in
	// memory at once.
	RunBytesMax = 512 << 20
	// ProfilesMax bounds the profiles of all shards together, as in one bundle.
	ProfilesMax = 4096
	// AttemptMax bounds the attempts of a run; GitHub allows 50.
	AttemptMax = 1000
	// WorkMax bounds the steps of deciding: each pair is offered to each test, and
	// each round looks at all of them. 2,000 tests x 40,000 pairs, an hour of
	// measuring on eight shards, are 80 million; this many take some ten seconds.
	WorkMax = 1 << 31
)
