package check

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/apogeemq/apogee/server/remoting"
)

const (
	bodyHead      = 12
	bodyBytesMore = 3000
)

// Body is the body of a message, which follows from its name. Sizes differ, so
// that messages begin and end anywhere in a block.
func Body(m Message) []byte {
	mix := (m.Number*4 + uint64(m.Writer) + 1) * 0x9E3779B97F4A7C15 >> 32
	body := make([]byte, bodyHead+mix%bodyBytesMore)
	binary.BigEndian.PutUint32(body, m.Writer)
	binary.BigEndian.PutUint64(body[4:], m.Number)
	for i := bodyHead; i < len(body); i++ {
		body[i] = byte(mix) + byte(i)
	}
	return body
}

// Identify tells whose message a body is. Every byte of it must be right.
func Identify(body []byte) (Message, error) {
	if len(body) < bodyHead {
		return Message{}, fmt.Errorf("a body of %d bytes is of no message", len(body))
	}
	m := Message{Writer: binary.BigEndian.Uint32(body), Number: binary.BigEndian.Uint64(body[4:])}
	if !bytes.Equal(body, Body(m)) {
		return Message{}, fmt.Errorf("the body of %v is damaged", m)
	}
	return m, nil
}

// PositionOf is the position in the log that a message id ends with,
// NoPosition when it has none.
func PositionOf(messageID string) int64 {
	const digits = 16
	if len(messageID) < digits {
		return NoPosition
	}
	n, err := strconv.ParseUint(messageID[len(messageID)-digits:], 16, 63)
	if err != nil {
		return NoPosition
	}
	return int64(n)
}

// StatusOf is the status of a send that was answered with a response code of
// RocketMQ.
func StatusOf(code int32) Status {
	switch code {
	case remoting.ResponseSuccess:
		return OK
	case remoting.ResponseFlushDiskTimeout:
		return FlushTimeout
	case remoting.ResponseSlaveNotAvailable:
		return SlaveUnavailable
	case remoting.ResponseFlushSlaveTimeout:
		return SlaveTimeout
	case remoting.ResponseSystemBusy, remoting.ResponseMessageIllegal, remoting.ResponseNoPermission,
		remoting.ResponseTopicNotExist, remoting.ResponseInvalidParameter:
		return Refused
	}
	return Unknown
}
