package broker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apogeemq/apogee/server/remoting"
)

// wildFields are the header fields that requests have, for filling them with
// anything.
var wildFields = []string{
	"consumerGroup", "group", "groupName", "producerGroup", "srcGroup", "destGroup", "compareGroup", "filterGroups",
	"topic", "topicList", "defaultTopic", "queueId", "queueOffset", "offset", "commitOffset", "index", "count",
	"maxMsgNums", "maxNum", "sysFlag", "suspendTimeoutMillis", "subscription", "subVersion", "expressionType",
	"timestamp", "beginTimestamp", "endTimestamp", "boundaryType", "key", flagUniqueKey, "msgId", "clientId", "clientID",
	"clientAddr", "isForce", "isOrder", "readQueueNums", "writeQueueNums", "perm", "topicFilterType", "attributes",
	"statsName", "statsKey", "readable", "setZeroIfNotFound", "topicSeq", "groupSeq", "maxTopicNum", "maxGroupNum", "dataVersion",
	"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m",
	"defaultTopicQueueNums", "bornTimestamp", "flag", "properties", "reconsumeTimes", "batch",
}

// wildValues are absurd and ordinary values of header fields.
var wildValues = []string{
	"", "0", "1", "-1", "4", "2147483647", "-2147483648", "9223372036854775807", "-9223372036854775808", "99999999999999999999",
	"true", "false", "T", "CG", "%RETRY%CG", "%DLQ%CG", "None", "no name", "TBW102", "*", "a || b", "TAG", "SQL92", "UPPER", "c1",
	"NaN", "\x00", "\xff\xfe", "+message.type=FIFO", "UNIQ_KEY\x01U\x02KEYS\x01k\x02", "7F00000100002A9F0000000000000000", "TOPIC_PUT_NUMS",
}

// wildBodies are bodies of some requests, and none's.
var wildBodies = []string{
	"", "null", "{}", "[]", "{", `"x"`, "brokerPermission=6", "x=", string(batchBody("a", "b")),
	`{"clientId":"c1","consumerGroup":"CG","mqSet":[{"brokerName":"broker-a","queueId":-1,"topic":"T"}]}`,
	`{"clientID":"c1","consumerDataSet":[{"groupName":"CG","subscriptionDataSet":[null]}]}`,
	`{"topicConfigList":[null,{}]}`, `{"groupConfigList":[null,{"groupName":"CG"}]}`, `{"groupName":"CG","retryQueueNums":-5}`,
	`{"topic":"T","consumerGroup":"CG","mode":"POP"}`,
}

func TestEveryRequestIsAnsweredWhateverItHolds(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) { c.Limits.HoldTime = 1; c.Limits.RelayPatience = 1e6 })
	h.send(0, "a", "x")
	codes := make([]int32, 0, len(h.broker.handlers))
	for code := range h.broker.handlers {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	random := rand.New(rand.NewPCG(7, 7))
	const each = 60
	var answers []<-chan *remoting.Command
	for _, code := range append(codes, -1, 0, 99, 1<<31-1, remoting.RequestPopMessage, remoting.RequestEndTransaction) {
		for range each {
			header := fields{}
			for range random.IntN(len(wildFields)) {
				header[wildFields[random.IntN(len(wildFields))]] = wildValues[random.IntN(len(wildValues))]
			}
			body := []byte(wildBodies[random.IntN(len(wildBodies))])
			answers = append(answers, h.begin(h.client, code, header, body))
		}
		for _, a := range answers {
			if got := receive(t, a); got.Code < 0 || got.Code > 1<<15 {
				t.Errorf("request %d: response code %d", code, got.Code)
			}
		}
		answers = answers[:0]
	}
	for _, unknown := range []int32{-1, 99, remoting.RequestPopMessage} {
		got := h.want(h.call(unknown, nil, nil), remoting.ResponseRequestCodeNotSupported)
		if want := fmt.Sprintf(" request type %d not supported", unknown); string(got.Remark) != want {
			t.Errorf("remark %q, want %q", got.Remark, want)
		}
	}
}
