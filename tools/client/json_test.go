package client

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestRocketMQsJSONIsReadInAllItsForms(t *testing.T) {
	t.Parallel()
	var got struct {
		Brokers map[string]Broker `json:"brokerAddrTable"`
	}
	text := `{"brokerAddrTable":{"broker-a":{"brokerAddrs":{0:"10.0.0.1:10911", 1 : "10.0.0.2:10911"},"brokerName":"broker-a","cluster":"C"}}}`
	if err := Decode([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	b := got.Brokers["broker-a"]
	if b.Master() != "10.0.0.1:10911" || b.Addresses["1"] != "10.0.0.2:10911" {
		t.Errorf("got %+v", b)
	}
	var stats struct {
		Table map[QueueKey]map[string]int64 `json:"offsetTable"`
		Rate  float64                       `json:"topicPutTps"`
	}
	text = ` { "offsetTable" : { {"brokerName":"a \"quoted\" } name","queueId":3,"topic":"T"} : {"maxOffset":7} } , "topicPutTps":1.5E0 } `
	if err := Decode([]byte(text), &stats); err != nil {
		t.Fatal(err)
	}
	if got := stats.Table[QueueKey{Topic: "T", Broker: `a "quoted" } name`, Queue: 3}]["maxOffset"]; got != 7 || stats.Rate != 1.5 {
		t.Errorf("got %+v", stats)
	}
}

func TestWhatIsNoJSONIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{", `{"a"}`, `{"a":1,}`, `{"a":1} x`, `"a`, `"a\`, "[1 2]", strings.Repeat("[", 1000), `{{:1}`} {
		var v any
		if err := Decode([]byte(text), &v); !errors.Is(err, ErrJSON) {
			t.Errorf("%.20q: %v, %v", text, v, err)
		}
	}
}

func TestAReplicaIsReadWhenThereIsNoMaster(t *testing.T) {
	t.Parallel()
	b := Broker{Addresses: map[string]string{"10": "ten", "2": "two"}}
	if b.Reading() != "two" || b.Master() != "" {
		t.Errorf("reads from %q, master %q", b.Reading(), b.Master())
	}
	b.Addresses["0"] = "zero"
	if b.Reading() != "zero" {
		t.Errorf("reads from %q", b.Reading())
	}
}

func TestOptionsThatExcludeEachOtherAreRefused(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{
		{Broker: "a:1", Nameservers: "b:2", Timeout: 1}, {Broker: "nowhere", Timeout: 1}, {Nameservers: ";", Timeout: 1},
		{Nameservers: "a:1;b", Timeout: 1}, {Nameservers: "a:1"},
	} {
		if c, err := o.Open(); err == nil {
			c.Close()
			t.Errorf("%+v is taken", o)
		}
	}
	o := Options{Nameservers: " a:1 ; b:2;", Timeout: 1}
	c, err := o.Open()
	if err != nil || len(c.Nameservers()) != 2 {
		t.Fatalf("%v", err)
	}
	c.Close()
}

// FuzzDecode: what standard JSON is stays what it is, and nothing makes the
// parser panic.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{`{0:"a"}`, `{{"a":[1,2]}:{"b":null}}`, `[true,-1.5e3,"\u0041"]`, `{"a":{"b":[]}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got, want any
		err := Decode(text, &got)
		if json.Unmarshal(text, &want) != nil || strings.Count(string(text), "{")+strings.Count(string(text), "[") > nestingMax {
			return
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q becomes %v, %v; want %v", text, got, err, want)
		}
	})
}
