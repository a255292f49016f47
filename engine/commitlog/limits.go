package commitlog

// All limits of the log in one place, with compile-time checks of how they relate.
const (
	// frameDataBytesMax bounds the data of one frame.
	frameDataBytesMax = 32 << 20
	// chunkBytesMax is the size at which a write is closed and the next begun.
	chunkBytesMax = 1 << 20
	// alignedStartBytes: a frame of this size may begin at the next block
	// boundary instead of waiting for the write that holds the current block.
	alignedStartBytes = 64 << 10
	// A frame may skip to the next block while all that was skipped is at most
	// this share of the bytes of frames, and so many bytes of each frame.
	skipShare      = 20
	skipFrameBytes = 40
	skipBytesMax   = 64 << 10
	// tableBytes is the distance in a segment between two entries of its
	// sparse table.
	tableBytes = 64 << 10

	// DefaultSegmentBytes is RocketMQ's mappedFileSizeCommitLog.
	DefaultSegmentBytes = 1 << 30
	// DefaultTailBytes is the size of the in-memory tail, which holds every
	// byte that is not Written yet and the latest that are.
	DefaultTailBytes = 48 << 20

	// fillStepBytes: zero-fill publishes its progress in steps of this size.
	fillStepBytes = 8 << 20
	// fillAheadBytes: how far zero-fill stays before the end of the log.
	fillAheadBytes = 64 << 20
	// fillWriteBytes is one write of the zero-fill.
	fillWriteBytes = 1 << 20

	// scanBytes is the length of one sequential read in recovery and replay.
	scanBytes = 1 << 20
	// historyBlockBytes is the unit of the history cache.
	historyBlockBytes = 256 << 10
	// DefaultHistoryBytes is the size of the history cache.
	DefaultHistoryBytes = 128 << 20

	completionsMax = 64
	queueDepth     = 16
)

const (
	_ = uint(DefaultTailBytes - 2*chunkBytesMax)
	_ = uint(alignedStartBytes - headerBytes)
	_ = uint(fillStepBytes % fillWriteBytes * -1)
	_ = uint(1<<32 - DefaultSegmentBytes) // file offsets in index entries have 32 bits
)
