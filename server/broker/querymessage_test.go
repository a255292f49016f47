package broker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/apogeemq/apogee/server/remoting"
)

func queryFields(key string) fields {
	return fields{"topic": "T", "key": key, "maxNum": "10", "beginTimestamp": "0", "endTimestamp": "9223372036854775807"}
}

// sendKeys stores a message with index keys and a unique key.
func (h *harness) sendKeys(keys, unique, body string) *remoting.Command {
	h.Helper()
	f := sendFields(0).with("i", "KEYS\x01"+keys+"\x02UNIQ_KEY\x01"+unique+"\x02")
	return h.want(h.call(remoting.RequestSendMessageV2, f, []byte(body)), remoting.ResponseSuccess)
}

// queried are the bodies that a search finds.
func (h *harness) queried(header fields) string {
	h.Helper()
	got := h.call(remoting.RequestQueryMessage, header, nil)
	for _, key := range []string{"indexLastUpdateTimestamp", "indexLastUpdatePhyoffset"} {
		if n, ok := got.Int(key); !ok || n <= 0 {
			h.Errorf("%s is %q", key, got.Text(key))
		}
	}
	if got.Code == remoting.ResponseQueryNotFound {
		return ""
	}
	h.want(got, remoting.ResponseSuccess)
	var bodies []string
	for _, r := range h.decodeAll(got.Body) {
		bodies = append(bodies, fmt.Sprintf("%s@%d", r.Body, r.QueueOffset))
	}
	return strings.Join(bodies, " ")
}

func TestAKeyFindsTheMessagesThatHaveIt(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for i, c := range []struct{ keys, unique string }{{"a b", "U0"}, {"b", "U1"}, {"a", "U2"}, {"U1", "U3"}} {
		h.sendKeys(c.keys, c.unique, fmt.Sprint("m", i))
	}
	third := h.log.events[len(h.log.events)-2].timestamp
	for name, c := range map[string]struct {
		header fields
		want   string
	}{
		"key, oldest first":        {queryFields("a"), "m0@0 m2@2"},
		"newest of them":           {queryFields("a").with("maxNum", "1"), "m2@2"},
		"none wanted":              {queryFields("a").with("maxNum", "-1"), ""},
		"from":                     {queryFields("a").with("beginTimestamp", textOf(third)), "m2@2"},
		"to":                       {queryFields("a").with("endTimestamp", textOf(third-1)), "m0@0"},
		"key or unique key":        {queryFields("U1"), "m1@1 m3@3"},
		"unique key only":          {queryFields("U1").with(flagUniqueKey, "true"), "m1@1"},
		"part of a key":            {queryFields("U"), ""},
		"two keys are no key":      {queryFields("a b"), ""},
		"unknown topic":            {queryFields("a").with("topic", "None"), ""},
		"unique ignores the count": {queryFields("U0").with(flagUniqueKey, "true").with("maxNum", "0"), "m0@0"},
	} {
		if got := h.queried(c.header); got != c.want {
			t.Errorf("%s: found %q, want %q", name, got, c.want)
		}
	}
	for _, missing := range []string{"key", "maxNum", "beginTimestamp", "endTimestamp"} {
		h.want(h.call(remoting.RequestQueryMessage, queryFields("a").with(missing, ""), nil), remoting.ResponseInvalidParameter)
	}
}

func TestKeysWhoseHashesCollideAreNotTakenForEachOther(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.log.with(func(l *fakeLog) { l.collide = true })
	h.sendKeys("wanted", "U0", "m0")
	for i := range 100 {
		h.sendKeys("other", "V"+strconv.Itoa(i), "other")
	}
	if got := h.queried(queryFields("wanted")); got != "m0@0" {
		t.Errorf("found %q, want m0@0", got)
	}
}

func TestASearchForAKeyIsBounded(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	const count = queryCandidatesMax + 500
	for sent := 0; sent < count; sent += 500 {
		batch := batchBody(slices.Repeat([]string{"y"}, 500)...)
		h.want(h.call(remoting.RequestSendBatchMessage, sendFields(0).with("m", "true"), batch), remoting.ResponseSuccess)
	}
	h.log.with(func(l *fakeLog) { l.collide = true })
	if got := strings.Fields(h.queried(queryFields("B7").with("maxNum", "1000"))); len(got) > queryMessagesMax {
		t.Errorf("%d messages, at most %d are to be found", len(got), queryMessagesMax)
	}
	if got := h.queried(queryFields("nobody").with("maxNum", "64")); got != "" || h.log.looked > queryCandidatesMax+queryMessagesMax {
		t.Errorf("found %q after a look at %d messages", got, h.log.looked)
	}
}

func TestWhatASearchFindsFitsInAFrame(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	large := strings.Repeat("z", 3<<20)
	for i := range 5 {
		h.sendKeys("big", "U"+strconv.Itoa(i), large)
	}
	got := h.want(h.call(remoting.RequestQueryMessage, queryFields("big"), nil), remoting.ResponseSuccess)
	records := h.decodeAll(got.Body)
	var offsets []int64
	for _, r := range records {
		offsets = append(offsets, r.QueueOffset)
	}
	if diff := cmp.Diff([]int64{3, 4}, offsets); diff != "" {
		t.Errorf("offsets of the newest messages that fit (-want +got):\n%s", diff)
	}
}

// TestTracesAreFoundByTheKeysOfTheMessagesThatTheyAreAbout: a client that traces
// sends to a topic that isn't there, and puts many messages into one trace.
func TestTracesAreFoundByTheKeysOfTheMessagesThatTheyAreAbout(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	var keys []string
	for i := range 60 {
		keys = append(keys, fmt.Sprintf("7F000001000012A39F12000000000%03d", i), fmt.Sprint("order-", i))
	}
	f := sendFields(0).with("b", traceTopic).with("i", "KEYS\x01"+strings.Join(keys, " ")+"\x02UNIQ_KEY\x01T1\x02")
	h.want(h.call(remoting.RequestSendMessageV2, f, []byte("Pub\x01...\x02")), remoting.ResponseSuccess)
	if trace, found := h.log.topics.Get(traceTopic); !found || trace.Config.WriteQueues != 4 {
		t.Errorf("topic %+v, %v: it is created like any other", trace, found)
	}
	for _, key := range keys {
		if got := h.queried(queryFields(key).with("topic", traceTopic)); got != "Pub\x01...\x02@0" {
			t.Fatalf("key %s finds %q", key, got)
		}
	}
}

func TestTheTraceTopicExistsFromTheStartWhereItIsConfigured(t *testing.T) {
	t.Parallel()
	for _, name := range []string{traceTopic, "traces"} {
		h := start(t, func(c *Config) { c.TraceTopic, c.AutoCreateTopic = name, false })
		if trace, found := h.log.topics.Get(name); !found || trace.Config.WriteQueues != 1 || trace.Config.ReadQueues != 1 {
			t.Errorf("topic %+v, %v", trace, found)
		}
		h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("b", name), []byte("Pub")), remoting.ResponseSuccess)
		h.want(h.call(remoting.RequestDeleteTopicInBroker, fields{"topic": name}, nil), remoting.ResponseInvalidParameter)
		if listed := h.want(h.call(remoting.RequestGetSystemTopicListFromBroker, nil, nil), remoting.ResponseSuccess).Body; strings.Count(string(listed), `"`+name+`"`) != 1 {
			t.Errorf("%s: system topics %s", name, listed)
		}
	}
}
