// Package transport carries Raft's messages between the nodes of a group, over
// TCP.
//
// A Network is one listener that any number of groups share. A Transport is one
// group's view of it: hashicorp/raft sends and receives through it.
//
// # A connection
//
// All integers are little-endian. The side that connects begins:
//
//	connector → listener   magic "APRP", version, nonce of 32 bytes
//	listener → connector   magic "APRP", version, nonce, proof
//	connector → listener   proof
//	connector → listener   frame Hello: group, log, node, name, address, term, end
//	listener → connector   frame Hello of its own, or why it refuses
//
// A proof is the HMAC-SHA256, keyed with the cluster's secret, of a word for
// the side and both nonces, so each side proves that it knows the secret and
// no recording can be played again. Without a secret proofs are zero. The proofs
// say who connects; against somebody who can change what is on the wire only TLS
// helps, which goes around all of this.
//
// Then requests and responses follow, in order, as frames:
//
//	off  size  field
//	  0     4  length of the body
//	  4     4  CRC32C of the body
//	  8     …  body; its first byte is the kind
//
// A response has the kind of its request with the highest bit set, then an error
// text, empty for none, then its fields. The bytes of a snapshot follow their
// request without frames.
//
// A node that wants to know in which term an entry was stored elsewhere asks
// with a frame of an index and gets the term, 0 where that entry isn't there:
// so two logs find the place behind which they differ.
//
// # Entries
//
// An entry is sent with its type byte as it is. What an entry of events holds is
// copied once, from the log's tail into the buffer that is written: Raft handles
// entries without data. So that a message stays small the Transport takes fewer
// entries than Raft offers; Raft goes on behind the last one that was taken.
// A replica that is far behind is sent no more bytes a second than a limit says,
// so that producers keep the disk and the network.
//
// # Questions
//
// Three kinds of request are not Raft's, and are answered beside it: where a node
// stands; frames of its log, whole, for a peer that has them damaged; and the sum of
// what it has made of its log up to a frame, for the leader that compares them. An
// answer begins as a response does: the error text, then
//
//	standing  term 8, term of its last entry 8, its index 8, leads 1, lost 1, full 1
//	frames    count 4, then for each its length 4 and its bytes
//	state     version 4, index 8, checksum of that frame 4, count 4, then for each
//	          part the length of its name 4, the name, the length of its sum 4, the
//	          sum
//
// The request for frames has the index of the first 8 and of the last 8; the answer
// may have the first of them only. The request for a state has the index 8, 0 for
// the frame that the node has come to. The node waits for that frame some seconds;
// where it has gone on already, or doesn't come there, the answer is an error. What
// follows the version is for askers that sum up in the same way (engine.SumVersion);
// others pass it over. A node that is older than the question ends the connection.
//
// Heartbeats have a connection of their own and don't wait for the disk on
// either side. While the log's flush hangs nothing is sent, so that the others
// elect somebody whose disk works.
package transport
