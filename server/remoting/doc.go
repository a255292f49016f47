// Package remoting speaks RocketMQ's remoting protocol over TCP: frames,
// commands in both header encodings, connections that carry requests in both
// directions, a server and a client. It knows codes, but no topic, no message
// and no handler; broker, nameserver, command line, bench and outbox use it
// alike.
//
// # Frame
//
// All integers are big-endian. There is no handshake, no magic and no checksum:
// the first frame of a connection is a request.
//
//	off  size  field
//	  0     4  length         of what follows, at most 16 MiB; the first byte is 0x00 or 0x01
//	  4     1  serialization  0 JSON, 1 binary (RocketMQ: ROCKETMQ)
//	  5     3  header length  H, at most length-4
//	  8     H  header
//	8+H     …  body, as long as length says
//
// A length that is out of range closes the connection at the fourth byte.
// A header that does not decode closes it too. Neither is answered, as in
// RocketMQ.
//
// # Before the first frame
//
// A server looks at the first byte of a connection. No frame begins like one of these:
//
//	0x16        a TLS handshake: by Options.TLSMode the connection goes on as TLS, or is closed
//	'P', 0x0d   a header of HAProxy's PROXY protocol, version 1 or 2, at most 107 and 4112 bytes;
//	            TLS or frames follow
//
// The client's address in a PROXY header becomes Conn.RemoteAddr, and with it
// the born host of messages, if the header comes from one of
// Options.ProxyTrusted; RocketMQ believes everybody. Other headers are read
// and have no effect. As in RocketMQ there is no ALPN and no upgrade of a
// connection that has begun.
//
// # JSON header
//
//	{"code":0,"language":"JAVA","version":479,"opaque":7,"flag":1,"remark":"…",
//	 "serializeTypeCurrentRPC":"JSON","extFields":{"queueId":"3"}}
//
// Members come in any order, unknown ones are skipped, missing and null ones
// are zero. language is a name or an ordinal. Values of extFields are strings;
// numbers, booleans and nested values are taken as they are written, null
// counts as absent. Without remark or fields these members are left out.
//
// # Binary header
//
//	size  field
//	   2  code            signed; POP request codes are cut, the decoder restores them
//	   1  language
//	   2  version
//	   4  opaque
//	   4  flag
//	   4  remark length, then the remark
//	   4  fields length, then for each field
//	        2  name length, then the name
//	        4  value length, then the value; an empty value counts as absent
//
// # Requests and responses
//
// Flag bit 0 marks a response, bit 1 a one-way request, which is never
// answered. A response repeats its request's opaque. Each side numbers its own
// requests. Responses come in any order and are encoded as their request was.
//
// # Goroutines
//
//	Server.accept ─ one: accepts, admits up to ConnectionsMax
//	Server.sweep  ─ one: closes idle, slow and unread connections, ends late calls
//	Conn.run      ─ one per connection, the reader:
//	                  open → read → decode in place → Handler.Handle, or the callback of the call
//	                  that is answered → after all complete frames: Flush once
//	Conn.writeRest ─ while there is something that the socket did not take at once
//	any goroutine ─ ReplyTo.Send, Batch, Call, Go: encode under Conn.mu, then Flush
//
// Flush tries one write without blocking in the goroutine that calls it; many
// frames share that write. At most one goroutine writes to a connection: it
// has set output.flushing, and looks again for queued frames before it clears
// it, so whoever queues a frame while flushing is set need not write. What the
// socket does not take goes to the writer goroutine. A body of 16 KiB or more is
// not copied into the output unless the socket refuses it. Connections that
// are not TCP always use the writer goroutine.
//
// TLS changes none of that. crypto/tls turns bytes of one buffer into bytes of
// another: the reader decrypts what one read has brought, whoever flushes
// encrypts what is queued, records of 16 KiB each, and writes them at once.
//
// ReplyTo.Send leaves the flush to the reader while the request's own Handle
// still runs, which is how the replies of a burst coalesce. Conn.Burst does the
// same for what a request or response brings about on other connections. A
// handler that is going to block therefore calls Conn.Flush first.
//
// # Bounds
//
// A connection reads into a pooled buffer that starts at 4 KiB and grows four
// times only when it is full of bytes that have arrived; while a connection is
// idle it has no buffer, input or output. All input buffers above 64 KiB together are
// bounded by InputBytesMax. With OutputSoftBytes waiting to be sent no further
// requests of that connection are handled, so TCP pushes back, and requests of
// ours to it are refused; with OutputHardBytes it is closed, or earlier when all
// connections over OutputSoftBytes together have OutputBytesMax. Calls in flight
// are bounded per connection, connections per server, and header fields per command.
//
// # Time
//
//	IdleTimeout       no traffic, or nothing taken of what waits to be sent: closed
//	FrameTimeout      from a frame's first bytes to its last: closed; what a handler takes doesn't count
//	HandshakeTimeout  of TLS: closed
//	CallTimeout       without an answer to Conn.Go: ErrTimeout
//
// All but the handshake are watched by one sweep over all connections, which
// sees them eight times in the shortest timeout and only compares counters. The
// kernel besides gives up on peers that acknowledge nothing, or answer no
// keep-alive.
//
// # Lifetimes
//
// A Command and all its slices are valid until Handle or the callback returns:
// they alias the input buffer. Command.Clone makes a copy. A ReplyTo is a value
// and may be kept; a request that wants a reply gets exactly one, also for
// errors, since Server.Shutdown waits for it.
package remoting
