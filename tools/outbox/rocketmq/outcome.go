package rocketmq

import (
	"errors"
	"fmt"
	"net"
	"strings"

	clienterrors "github.com/apache/rocketmq-client-go/v2/errors"
	"github.com/apache/rocketmq-client-go/v2/primitive"

	"github.com/apogeemq/apogee/tools/outbox"
)

// Response codes of brokers.
const (
	codeSystemBusy          = 2
	codeMessageIllegal      = 13
	codeServiceNotAvailable = 14
	codeNoPermission        = 16
	codeTopicNotExist       = 17
	codeInvalidParameter    = 29
	codeFlowControl         = 215
)

// outcomeUnknown is in Apogee's remark when a leader lost its leadership while
// the message was on its way to the others.
const outcomeUnknown = "outcome unknown"

// noRoute is how the client words the lack of a route or a queue.
const noRoute = "route info not found"

// classify gives an error of the client its class.
func classify(err error) error {
	class := outbox.ErrInDoubt
	var dial *net.OpError
	switch {
	case errors.Is(err, clienterrors.ErrRequestTimeout):
	case errors.Is(err, clienterrors.ErrNotRunning), errors.Is(err, clienterrors.ErrService),
		errors.As(err, &dial) && dial.Op == "dial",
		strings.Contains(err.Error(), noRoute):
		class = outbox.ErrNotAccepted
	default:
		if code, found := refusalCode(err); found {
			class = classOfCode(code, err.Error())
		}
	}
	return fmt.Errorf("%w: %w", class, err)
}

func classOfCode(code int, text string) error {
	switch code {
	case codeMessageIllegal, codeInvalidParameter:
		return outbox.ErrRefused
	case codeServiceNotAvailable:
		if strings.Contains(text, outcomeUnknown) {
			return outbox.ErrInDoubt
		}
		return outbox.ErrNotAccepted
	case codeSystemBusy, codeNoPermission, codeTopicNotExist, codeFlowControl:
		return outbox.ErrNotAccepted
	}
	return outbox.ErrInDoubt
}

// refusalCode reads a broker's response code from the text of the client's
// error, where alone it is.
func refusalCode(err error) (code int, found bool) {
	_, scanErr := fmt.Sscanf(err.Error(), "CODE: %d", &code)
	return code, scanErr == nil
}

// receiptOf reads where the message is stored.
func receiptOf(r *primitive.SendResult) (outbox.Receipt, error) {
	receipt := outbox.Receipt{Offset: r.QueueOffset, MessageID: r.OffsetMsgID}
	switch r.Status {
	case primitive.SendOK:
	case primitive.SendFlushDiskTimeout:
		receipt.Status = outbox.StatusFlushDiskTimeout
	case primitive.SendFlushSlaveTimeout:
		receipt.Status = outbox.StatusFlushSlaveTimeout
	case primitive.SendSlaveNotAvailable:
		receipt.Status = outbox.StatusSlaveNotAvailable
	default:
		return outbox.Receipt{}, fmt.Errorf("%w: status %d", outbox.ErrInDoubt, r.Status)
	}
	if r.MessageQueue != nil {
		receipt.Broker, receipt.Queue = r.MessageQueue.BrokerName, r.MessageQueue.QueueId
	}
	return receipt, nil
}
