// Package frame has the part of RocketMQ's remoting frame that a load
// generator and a floor server need in their hot loops: it encodes a request
// once with fixed places for what changes per message, splits a byte stream
// into frames, and finds code and opaque in a header without decoding it.
//
// # The frame
//
//	off   size   field
//	  0      4   length: bytes that follow this field
//	  4      4   top byte: serialization of the header; low 24 bits: its length H
//	  8      H   header
//	8+H      …   body
//
// A header is JSON (serialization 0) or binary (serialization 1, which
// RocketMQ calls ROCKETMQ). Numbers that change per message have a fixed
// width in both: an opaque of ten digits, starting at OpaqueBase, keeps the
// length of a JSON header constant.
//
// Replies are scanned, not decoded: a JSON header is searched for "code": and
// "opaque": followed by a number. A quote inside a JSON string is escaped, so
// text in a remark cannot be mistaken for a member. Whatever needs more than
// that belongs to a real remoting client.
package frame
