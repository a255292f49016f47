package broker

import (
	"bytes"
	"strings"

	"github.com/apogeemq/apogee/server/broker/delay"
	"github.com/apogeemq/apogee/server/remoting"
)

const (
	retryPrefix = "%RETRY%"
	deadPrefix  = "%DLQ%"

	topicBytesMax      = 127
	retryTopicBytesMax = 255
	groupBytesMax      = 120
)

// Names of topics that mean something to brokers, as in RocketMQ's
// TopicValidator.
const (
	topicAutoCreate      = "TBW102"
	topicSelfTest        = "SELF_TEST_TOPIC"
	topicBenchmark       = "BenchmarkTest"
	topicOffsetMoved     = "OFFSET_MOVED_EVENT"
	topicSchedule        = delay.LevelTopic
	topicHalf            = "RMQ_SYS_TRANS_HALF_TOPIC"
	topicHalfOperations  = "RMQ_SYS_TRANS_OP_HALF_TOPIC"
	topicHalfExpired     = "TRANS_CHECK_MAX_TIME_TOPIC"
	replyTopicSuffix     = "_REPLY_TOPIC"
	systemTopicPrefix    = "rmq_sys_"
	traceTopic           = "RMQ_SYS_TRACE_TOPIC"
	scheduleTopicQueues  = 18
	benchmarkTopicQueues = 1024
	clusterTopicQueues   = 16
)

// legalNameBytes are the bytes of topic and group names.
var legalNameBytes = func() (legal [256]bool) {
	for _, c := range []byte("%|-_") {
		legal[c] = true
	}
	for c := byte('0'); c <= '9'; c++ {
		legal[c] = true
	}
	for c := byte('a'); c <= 'z'; c++ {
		legal[c], legal[c-'a'+'A'] = true, true
	}
	return legal
}()

func legalName(name []byte) bool {
	for _, c := range name {
		if !legalNameBytes[c] {
			return false
		}
	}
	return len(name) > 0
}

// checkTopicName refuses names that RocketMQ's TopicValidator refuses.
func checkTopicName(name []byte) error {
	limit := topicBytesMax
	if isRetryTopic(name) || bytes.HasPrefix(name, []byte(deadPrefix)) {
		limit = retryTopicBytesMax
	}
	switch {
	case len(bytes.TrimSpace(name)) == 0:
		return refuse(remoting.ResponseInvalidParameter, "The specified topic is blank.")
	case len(name) > limit:
		return refuse(remoting.ResponseInvalidParameter,
			"The specified topic has %d bytes, at most %d are allowed.", len(name), limit)
	case !legalName(name):
		return refuse(remoting.ResponseInvalidParameter,
			"The specified topic contains illegal characters, allowing only ^[%%|a-zA-Z0-9_-]+$")
	}
	return nil
}

func isRetryTopic(name []byte) bool { return bytes.HasPrefix(name, []byte(retryPrefix)) }

// isForbidden tells the topics that clients must not send to.
func isForbidden(name []byte) bool {
	switch string(name) {
	case topicSchedule, delay.TimerTopic, topicHalf, topicHalfOperations, topicHalfExpired, topicSelfTest, topicOffsetMoved:
		return true
	}
	return false
}

// checkGroupName refuses groups that can't exist.
func checkGroupName(group []byte) error {
	if len(group) > groupBytesMax || !legalName(group) {
		return refuse(remoting.ResponseGroupNotExist,
			"subscription group [%.*s] does not exist: its name must have 1 to %d of the characters %%|a-zA-Z0-9_-",
			groupBytesMax, group, groupBytesMax)
	}
	return nil
}

// isSystemTopic tells topics that belong to the brokers themselves; metrics
// mark them.
func isSystemTopic(name string) bool {
	switch name {
	case topicAutoCreate, topicSelfTest, topicBenchmark, traceTopic:
		return true
	}
	return isForbidden([]byte(name)) ||
		strings.HasPrefix(name, systemTopicPrefix)
}

// isSystemTopic tells topics that belong to the brokers themselves, this
// cluster's included: administrators can't change them.
func (c *Config) isSystemTopic(name string) bool {
	return isSystemTopic(name) || name == c.ClusterName || name == c.BrokerName || name == c.ClusterName+replyTopicSuffix ||
		name == c.TraceTopic && name != ""
}

// isSystemGroup tells groups of brokers and clients themselves; metrics mark
// them.
func isSystemGroup(name string) bool {
	const prefix = "CID_RMQ_SYS_"
	return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}

// checkAdministeredGroup refuses names that RocketMQ's TopicValidator refuses.
func checkAdministeredGroup(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return refuse(remoting.ResponseInvalidParameter, "The specified group is blank.")
	case !legalName([]byte(name)):
		return refuse(remoting.ResponseInvalidParameter,
			"The specified group: %.*s, contains illegal characters, allowing only ^[%%|a-zA-Z0-9_-]+$", groupBytesMax, name)
	case len(name) > groupBytesMax:
		return refuse(remoting.ResponseInvalidParameter,
			"The specified group: %.*s, is longer than group max length: %d", groupBytesMax, name, groupBytesMax)
	}
	return nil
}
