package agent

import (
	"bytes"

	"github.com/apogeemq/apogee/server/remoting"
)

// verdict says what a broker's answer to a send means.
type verdict uint8

const (
	stored      verdict = iota // the message is there
	notAccepted                // nothing was stored, and a later attempt may succeed
	inDoubt                    // it may be there
	unwilling                  // refused, perhaps not for good: a setting of the cluster's may be the reason
	refused                    // refused for good: it is about the message
)

// outcomeUnknown begins the remark of an answer 14 after which the message may
// be stored.
var outcomeUnknown = []byte("outcome unknown")

// judge is the one place that knows what codes mean. docs/OUTBOX.md repeats it.
func judge(code int32, remark []byte) verdict {
	switch code {
	case remoting.ResponseSuccess, remoting.ResponseFlushDiskTimeout, remoting.ResponseSlaveNotAvailable, remoting.ResponseFlushSlaveTimeout:
		return stored
	case remoting.ResponseServiceNotAvailable:
		if bytes.HasPrefix(remark, outcomeUnknown) {
			return inDoubt
		}
		return notAccepted
	case remoting.ResponseSystemBusy, remoting.ResponseFlowControl, remoting.ResponseNotLeaderForQueue, remoting.ResponseGoAway:
		return notAccepted
	case remoting.ResponseMessageIllegal, remoting.ResponseInvalidParameter, remoting.ResponseVersionNotSupported, remoting.ResponseRequestCodeNotSupported:
		return refused
	}
	return unwilling
}
