package nameserver

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zlib"
)

// compressedBody packs pieces as RocketMQ does: text with its length, numbers
// as they are.
func compressedBody(pieces ...any) []byte {
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	number := func(n int) { _ = binary.Write(z, binary.BigEndian, int32(n)) }
	for _, piece := range pieces {
		switch p := piece.(type) {
		case string:
			number(len(p))
			_, _ = z.Write([]byte(p))
		case int:
			number(p)
		}
	}
	_ = z.Close()
	return out.Bytes()
}

var wantTwoTopics = registration{
	version: DataVersion{Counter: 3, Timestamp: 1700000000000},
	topics: map[string]queueData{
		"TopicTest": {readQueues: 8, writeQueues: 8, permission: 6},
		"TBW102":    {readQueues: 8, writeQueues: 8, permission: 7},
	},
}

func twoTopicsCompressed() []byte {
	return compressedBody(`{"counter":3,"stateVersion":0,"timestamp":1700000000000}`, 2,
		`TopicTest 8 8 6 SINGLE_TAG {"a":"b c"}`, "TBW102 8 8 7 SINGLE_TAG", "[]", 0)
}

func TestAllFormsOfARegistrationMeanTheSame(t *testing.T) {
	t.Parallel()
	from := strings.Index(twoTopics, `{"dataVersion"`)
	bare := twoTopics[from : len(twoTopics)-1]
	for name, c := range map[string]struct {
		body       []byte
		compressed bool
		version    int32
	}{
		"JSON":                               {[]byte(twoTopics), false, 479},
		"compressed and said so":             {twoTopicsCompressed(), true, 479},
		"compressed without a word":          {twoTopicsCompressed(), false, 479},
		"a bare topic table before 3.0.11":   {[]byte(bare), false, version3_0_11 - 1},
		"JSON with white space and nulls":    {[]byte(" " + strings.ReplaceAll(twoTopics, `"attributes":{}`, "\"attributes\" :\n\tnull") + "\r\n"), false, 479},
		"JSON with names in keys only":       {[]byte(strings.ReplaceAll(twoTopics, `"topicName":"TopicTest"`, `"topicName":null`)), false, 479},
		"JSON with numbers in quotation":     {[]byte(strings.ReplaceAll(twoTopics, `"perm":6`, `"perm":"6"`)), false, 479},
		"JSON with a Java object for a key":  {[]byte(strings.Replace(twoTopics, `{0:0,1:1}`, `{{"queueId":0,"topic":"}"}:[{}],-1:1.5e3}`, 1)), false, 479},
		"JSON with escapes of Java's making": {[]byte(strings.Replace(twoTopics, `"TopicTest":{`, `"\x54opic\u0054est":{`, 1)), false, 479},
	} {
		got, err := decodeRegistration(c.body, c.compressed, c.version)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(wantTwoTopics, got, cmp.AllowUnexported(registration{}, queueData{})); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

func TestAnEmptyBodyRegistersNoTopics(t *testing.T) {
	t.Parallel()
	got, err := decodeRegistration(nil, false, 479)
	if err != nil || len(got.topics) != 0 || got.version != (DataVersion{}) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestDamagedRegistrationsAreRefused(t *testing.T) {
	t.Parallel()
	bomb := compressedBody("{}", 1, strings.Repeat("x", maxEntryBytes+1))
	for name, c := range map[string]struct {
		body []byte
		want string
	}{
		"cut off":                {[]byte(twoTopics[:len(twoTopics)-1]), "expected ','"},
		"text after the end":     {[]byte(twoTopics + "x"), "text after the end"},
		"a zero byte at the end": {[]byte(twoTopics + "\x00"), "text after the end"},
		"not an object":          {[]byte(`[]`), "expected '{'"},
		"no comma":               {[]byte(`{"a":1 "b":2}`), "expected ','"},
		"too deep":               {[]byte(`{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`), "nested too deeply"},
		"a huge number":          {[]byte(strings.Replace(twoTopics, `"perm":6`, `"perm":99999999999`, 1)), "is not between"},
		"a negative number":      {[]byte(strings.Replace(twoTopics, `"readQueueNums":8`, `"readQueueNums":-8`, 1)), "is not between"},
		"a long name":            {[]byte(strings.Replace(twoTopics, `"topicName":"TopicTest"`, `"topicName":"`+strings.Repeat("x", 256)+`"`, 1)), "more than 255 bytes"},
		"a bad escape":           {[]byte(`{"\u12g4":1}`), "bad escape"},
		"an unfinished escape":   {[]byte(`{"\u12`), "unfinished escape"},
		"an unfinished string":   {[]byte(`{"abc`), "unfinished string"},
		"not zlib":               {[]byte("x"), "compressed body"},
		"a large piece":          {bomb, "is not between 0 and"},
		"a negative length":      {compressedBody(-1), "is not between 0 and"},
		"too many topics":        {compressedBody("{}", maxTopicsInBody+1), "is not between 0 and"},
		"fewer topics than said": {compressedBody("{}", 5, "T 1 1 6 SINGLE_TAG"), "cut off"},
		"a short topic line":     {compressedBody("{}", 1, "T 1 1 6"), "want name"},
		"letters for a number":   {compressedBody("{}", 1, "T 1 x 6 SINGLE_TAG"), "not a number"},
	} {
		_, err := decodeRegistration(c.body, false, 479)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

func TestWhatWeSendIsJSONAndReadsBack(t *testing.T) {
	t.Parallel()
	version := DataVersion{StateVersion: 1, Timestamp: 2, Counter: 3}
	body := appendRegistration(nil, version, []TopicConfig{
		{Name: "T", ReadQueues: 4, WriteQueues: 5, Permission: 6, SystemFlag: 1, Order: true, Attributes: map[string]string{"message.type": "FIFO", "a": "\"\\\n☃\U0001F600"}},
		{Name: "U", FilterType: "MULTI_TAG"},
	})
	if !json.Valid(body) {
		t.Errorf("not JSON: %s", body)
	}
	got, err := decodeRegistration(body, false, 479)
	if err != nil {
		t.Fatal(err)
	}
	want := registration{version: version, topics: map[string]queueData{
		"T": {readQueues: 4, writeQueues: 5, permission: 6, systemFlag: 1}, "U": {},
	}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(registration{}, queueData{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestStringsSurviveBothDialects(t *testing.T) {
	t.Parallel()
	const hard = "a\"b\\c/\n\t\x00\x7fé☃\U0001F600\xff"
	for _, d := range []dialect{fastjson, standard} {
		text := d.appendText(nil, hard)
		var got string
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if want := strings.ToValidUTF8(hard, "\uFFFD"); got != want {
			t.Errorf("encoding/json reads %q, want %q", got, want)
		}
		if got := (&scanner{data: text}).text(); got != strings.ToValidUTF8(hard, "\uFFFD") {
			t.Errorf("scanner reads %q", got)
		}
	}
	for _, c := range standard.appendText(nil, hard) {
		if c >= 0x80 {
			t.Fatal("the standard dialect must keep to ASCII")
		}
	}
}

// FuzzDecodeRegistration: no body makes the decoder panic, hang or keep more
// than it was given, and what it takes can be written and read again.
func FuzzDecodeRegistration(f *testing.F) {
	f.Add([]byte(twoTopics), false, int32(479))
	f.Add([]byte(oneTopic), false, int32(20))
	f.Add(twoTopicsCompressed(), true, int32(479))
	f.Add([]byte(`{"topicConfigSerializeWrapper":{"topicConfigTable":{1:{"perm":"7"},{"a":[1,null]}:{},"":{}}}}`), false, int32(479))
	f.Add([]byte(`{"a":"\u`), false, int32(479))
	f.Fuzz(func(t *testing.T, body []byte, compressed bool, version int32) {
		got, err := decodeRegistration(body, compressed, version)
		if err != nil {
			return
		}
		var topics []TopicConfig
		for name, q := range got.topics {
			if name == "" || len(name) > maxNameBytes {
				t.Fatalf("took the topic name %q", name)
			}
			topics = append(topics, TopicConfig{Name: name, ReadQueues: q.readQueues, WriteQueues: q.writeQueues,
				Permission: q.permission, SystemFlag: q.systemFlag})
		}
		again, err := decodeRegistration(appendRegistration(nil, got.version, topics), false, 479)
		if err != nil {
			t.Fatalf("what was taken can't be read again: %v", err)
		}
		if again.version != got.version || (len(again.topics) != len(got.topics) && validNames(got)) {
			t.Fatalf("was %v, is %v", got, again)
		}
	})
}

// validNames reports whether writing keeps the names apart: bytes that are not
// UTF-8 all become the same mark.
func validNames(r registration) bool {
	for name := range r.topics {
		if strings.ToValidUTF8(name, "") != name || strings.Contains(name, "\uFFFD") {
			return false
		}
	}
	return true
}
