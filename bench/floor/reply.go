package floor

import (
	"encoding/binary"
	"strconv"

	"github.com/apogeemq/apogee/bench/frame"
)

const (
	jsonHead = `{"code":0,"extFields":{"queueId":"0","msgId":"7F00000100002A9F0000000000000000","queueOffset":"0"},"flag":1,"language":"GO","opaque":`
	jsonTail = `,"version":479}`

	prefixBytes    = 8
	binaryOpaqueAt = 5
)

// binaryReply is the header of the same reply in RocketMQ's binary form.
var binaryReply = encodeBinaryReply()

func encodeBinaryReply() []byte {
	head := frame.Encode(frame.Binary, frame.Request{Code: 0, Fields: []frame.Field{
		{Key: "queueId", Value: "0"}, {Key: "msgId", Value: "7F00000100002A9F0000000000000000"},
		{Key: "queueOffset", Value: "0"},
	}}, 0)
	header := head.Bytes[prefixBytes:]
	const flagAt, response = 9, 1
	binary.BigEndian.PutUint32(header[flagAt:], response)
	return header
}

// appendReply adds a SEND_OK to dst, encoded as the request was.
func appendReply(dst []byte, s frame.Serialization, opaque int32) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, prefixBytes)...)
	if s == frame.Binary {
		dst = append(dst, binaryReply...)
		binary.BigEndian.PutUint32(dst[at+prefixBytes+binaryOpaqueAt:], uint32(opaque))
	} else {
		dst = append(dst, jsonHead...)
		dst = strconv.AppendInt(dst, int64(opaque), 10)
		dst = append(dst, jsonTail...)
	}
	frame.PutLength(dst[at:], s, len(dst)-at-prefixBytes, 0)
	return dst
}
