package broker

import (
	"strconv"

	"github.com/apogeemq/apogee/server/remoting"
)

// Bits of a pull request's sysFlag, as in RocketMQ's PullSysFlag.
const (
	pullCommitsOffset   = 1 << 0
	pullMayWait         = 1 << 1
	pullHasSubscription = 1 << 2
)

// pullHeader is the header of a pull request. Its slices alias the command.
type pullHeader struct {
	group, topic        []byte
	subscription        []byte
	expressionType      []byte
	queueID             int32
	messages            int32
	systemFlag          int32
	offset              int64
	commitOffset        int64
	suspendMillis       int64
	subscriptionVersion int64
}

// parse reads the header in one walk over the fields. Numbers that RocketMQ
// demands must be there; the others are 0 when absent.
func (h *pullHeader) parse(cmd *remoting.Command) error {
	*h = pullHeader{queueID: -1, offset: -1, messages: -1}
	ok := true
	for i := range cmd.Fields {
		f := &cmd.Fields[i]
		valid := true
		switch string(f.Key) {
		case "consumerGroup":
			h.group = f.Value
		case "topic":
			h.topic = f.Value
		case "subscription":
			h.subscription = f.Value
		case "expressionType":
			h.expressionType = f.Value
		case "queueId":
			valid = setInt32(&h.queueID, f.Value)
		case "maxMsgNums":
			valid = setInt32(&h.messages, f.Value)
		case "sysFlag":
			valid = setInt32(&h.systemFlag, f.Value)
		case "queueOffset":
			valid = setInt64(&h.offset, f.Value)
		case "commitOffset":
			valid = setInt64(&h.commitOffset, f.Value)
		case "suspendTimeoutMillis":
			valid = setInt64(&h.suspendMillis, f.Value)
		case "subVersion":
			valid = setInt64(&h.subscriptionVersion, f.Value)
		}
		ok = ok && valid
	}
	if !ok || h.topic == nil || h.group == nil || h.messages < 0 {
		return refuse(remoting.ResponseInvalidParameter,
			"the pull request needs consumerGroup, topic, queueId, queueOffset, maxMsgNums, sysFlag, and all its numbers must be numbers")
	}
	return nil
}

func setInt64(n *int64, value []byte) bool {
	if len(value) == 0 {
		return true
	}
	v, err := strconv.ParseInt(string(value), 10, 64)
	*n = v
	return err == nil
}
