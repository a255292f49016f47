// Package floor is the smallest server that a send load can run against: it
// parses the frame, keeps nothing, and answers SEND_OK. What a broker reaches
// of its rate is the broker's own price.
//
// # Modes
//
//	echo   answers at once: the price of the network and of frames
//	write  group commit without sync: what waits is one merged direct write
//	sync   group commit: the merged write and one fdatasync before the answers
//
// and two ways to answer
//
//	each      every answer is a write of its own, as a plain server does it
//	gathered  one write per connection for all answers that are ready
//
// A connection has one goroutine that copies all complete frames of a read
// into the batch that is being filled. One goroutine takes the batch, writes
// it (and syncs), and encodes and writes the answers; the next batch fills
// meanwhile. The file is allocated and written with zeros
// before the server listens, and written around from its start again when it
// is full, so that a sync never waits for the file system's journal.
//
// It is meant to be hard to beat: nothing is validated beyond lengths, no
// queue is kept, every request other than a send is answered with success
// too, and answers have constant fields. On systems other than Linux it
// writes through the page cache and syncs the whole file.
package floor
