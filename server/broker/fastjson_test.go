package broker

import "testing"

func TestMapsByQueueAndNumberAreWrittenAsFastjsonDoes(t *testing.T) {
	t.Parallel()
	var f fastJSON
	f.raw(`{"a":`)
	queueTable(&f, []queueEntry[javaDouble]{
		{messageQueue{BrokerName: "b", QueueID: 1, Topic: "<T>"}, 0},
		{messageQueue{BrokerName: "b", QueueID: 2, Topic: "T"}, 1.25},
	})
	f.raw(`,"n":`).numberTable(map[uint32]int64{10: 1, 9: -2}).raw(`,"none":`).numberTable(nil).raw("}")
	want := `{"a":{{"brokerName":"b","queueId":1,"topic":"<T>"}:0.0,{"brokerName":"b","queueId":2,"topic":"T"}:1.25},` +
		`"n":{9:-2,10:1},"none":{}}`
	if string(f.text) != want || f.err != nil {
		t.Errorf("got  %s\nwant %s, error %v", f.text, want, f.err)
	}
}
