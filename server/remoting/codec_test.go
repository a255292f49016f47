package remoting

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGoldenRequestsDecode(t *testing.T) {
	t.Parallel()
	route := Command{Code: RequestGetRouteInfoByTopic, Version: 479, Opaque: 1, Language: LanguageGo,
		Fields: []Field{{[]byte("topic"), []byte("T")}}}
	routeBinary := route
	routeBinary.Serialization = Binary
	for name, want := range map[string]Command{
		"route-request-json.hex":   route,
		"route-request-binary.hex": routeBinary,
		"pop-request-binary.hex":   {Code: RequestPopMessage, Version: 479, Opaque: 9, Serialization: Binary},
	} {
		got := decodeFrame(t, goldenFrame(t, name))
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

func TestGoClientSendDecodes(t *testing.T) {
	t.Parallel()
	c := decodeFrame(t, goldenFrame(t, "go-client-send.hex"))
	if c.Code != RequestSendMessage || c.Language != LanguageGo || c.Version != 317 || c.Opaque != 12 || c.IsResponse() || c.IsOneway() {
		t.Errorf("got %+v", c)
	}
	if got, want := c.Text("properties"), "UNIQ_KEY\x017F0001\x02TAGS\x01A\x02"; got != want {
		t.Errorf("properties %q, expected %q", got, want)
	}
	if n, ok := c.Int("bornTimestamp"); !ok || n != 1700000000000 {
		t.Errorf("bornTimestamp %d, %v", n, ok)
	}
	if string(c.Body) != "hello" || len(c.Fields) != 13 {
		t.Errorf("body %q, %d fields", c.Body, len(c.Fields))
	}
}

func goldenReply() *Reply {
	r := &Reply{Remark: "say \"hi\"\n\x01", Body: []byte("ok")}
	r.SetText("msgId", "7F00000100002A9F0000000000001000")
	r.SetInt("queueId", 3)
	r.SetBytes("queueOffset", []byte("-1"))
	return r
}

func TestGoldenRepliesEncode(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]Serialization{"send-reply-json.hex": JSON, "send-reply-binary.hex": Binary} {
		r := goldenReply()
		got, whole := r.appendHeader(nil, 7, s)
		got = append(got, r.Body...)
		if want := goldenFrame(t, name); !whole || !bytes.Equal(got, want) {
			t.Errorf("%s: got\n%s\nexpected\n%s", name, hex.Dump(got), hex.Dump(want))
		}
	}
}

func TestGoldenRequestEncodesAsTheBinaryVectorButForTheLanguage(t *testing.T) {
	t.Parallel()
	r := &Request{Code: RequestGetRouteInfoByTopic}
	r.Set("topic", "T")
	want := goldenFrame(t, "route-request-binary.hex")
	want[prefixBytes+2] = LanguageJava
	if got := requestFrame(t, r, 1, 0, Binary); !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nexpected\n%s", hex.Dump(got), hex.Dump(want))
	}
}

// goClientCommand is what RocketMQ's Go client decodes a header into.
type goClientCommand struct {
	Code      int16             `json:"code"`
	Language  any               `json:"language"`
	Version   int16             `json:"version"`
	Opaque    int32             `json:"opaque"`
	Flag      int32             `json:"flag"`
	Remark    string            `json:"remark"`
	ExtFields map[string]string `json:"extFields"`
}

func TestJSONRepliesAreStandardJSONForTheGoClient(t *testing.T) {
	t.Parallel()
	texts := []string{"", "plain", `quote " backslash \ slash /`, "\x00\x01\x02\x1f\x7f", "tab\tnew\r\n", "ünï 漢字 😀", "\u2028\u2029", "a\xffb\xc3", "\xf0\x9f\x98"}
	for _, text := range texts {
		r := Reply{Code: 26, Remark: text}
		r.SetText(text+"key", text)
		r.SetInt("number", math.MinInt64)
		b, _ := r.appendHeader(nil, -7, JSON)
		var got goClientCommand
		if err := json.Unmarshal(b[prefixBytes:], &got); err != nil {
			t.Errorf("%q: %v in %s", text, err, b[prefixBytes:])
			continue
		}
		clean := string([]rune(text)) // each wrong byte becomes U+FFFD
		want := goClientCommand{Code: 26, Language: "JAVA", Version: Version, Opaque: -7, Flag: 1, Remark: clean,
			ExtFields: map[string]string{clean + "key": clean, "number": strconv.Itoa(math.MinInt64)}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", text, diff)
		}
	}
}

func TestJSONHeaderToleratesWhatClientsSend(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]Command{
		`{}`:                                    {},
		" {\t\"code\" : 11 ,\r\n \"flag\":2 } ": {Code: 11, Flag: 2},
		`{"code":"34","opaque":"-5","version":null}`: {Code: 34, Opaque: -5},
		`{"language":"CPP"}`:                         {Language: LanguageCPP},
		`{"language":9}`:                             {Language: LanguageGo},
		`{"language":"9"}`:                           {Language: LanguageGo},
		`{"language":77}`:                            {Language: LanguageOther},
		`{"language":-1}`:                            {Language: LanguageOther},
		`{"language":"COBOL"}`:                       {Language: LanguageOther},
		`{"language":null}`:                          {},
		`{"remark":null,"extFields":null}`:           {},
		`{"remark":"caf\u00e9 \ud83d\ude00 \ud83d \ude00x \/\\\""}`: {Remark: []byte("café 😀 \uFFFD \uFFFDx /\\\"")},
		`{"remark":"\ud83d\u0041"}`:                                 {Remark: []byte("\uFFFDA")},
		`{"unknown":{"a":[1,{"b":"]}"}],"c":"\"}"},"code":1}`:       {Code: 1},
		`{"unknown":[[],true,false,null,-1.5e+7,"x"],"code":1}`:     {Code: 1},
		`{"c\u006fde":5}`: {Code: 5},
		`{"extFields":{"a":"x","b":1,"c":-2.5,"d":true,"e":null}}`:    {Fields: fields("a", "x", "b", "1", "c", "-2.5", "d", "true")},
		`{"extFields":{"a":{"n":"\""},"b":[1,2],"c":""},"code":3}`:    {Code: 3, Fields: fields("a", `{"n":"\""}`, "b", "[1,2]", "c", "")},
		`{"extFields":{"\u0061\n":"\b\f\n\r\t\u0001"},"flag":1}`:      {Flag: 1, Fields: fields("a\n", "\b\f\n\r\t\x01")},
		`{"code":1,"code":2,"extFields":{},"remark":"raw` + "\x01\"}": {Code: 2, Remark: []byte("raw\x01")},
	} {
		got := decodeFrame(t, jsonFrame(header, ""))
		if len(got.Fields) == 0 {
			got.Fields = nil
		}
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", header, diff)
		}
	}
}

func fields(pairs ...string) []Field {
	var all []Field
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, Field{[]byte(pairs[i]), []byte(pairs[i+1])})
	}
	return all
}

func TestBrokenHeadersAreProtocolErrors(t *testing.T) {
	t.Parallel()
	broken := []string{
		``, ` `, `{`, `[]`, `"code"`, `null`, `{"code"}`, `{"code":}`, `{"code":1`, `{"code":1,}`, `{,}`, `{"code":1 "flag":2}`,
		`{"code":1}x`, `{"code":1}` + "\x00", `{"code":1.5}`, `{"code":2147483648}`, `{"opaque":-2147483649}`, `{"code":true}`, `{"code":[]}`,
		`{"code":9223372036854775808}`, `{"code":"-"}`, `{"remark":"x}`, `{"remark":"\x"}`, `{"remark":"\u12g4"}`, `{"remark":"\u12`,
		`{"remark":"\`, `{"remark":"a\"`, `{"extFields":[]}`, `{"extFields":{"a"}}`, `{"extFields":{"a":"b"}`, `{"extFields":"x"}`, `{code:1}`,
		`{"x":tru}`, `{"x":nul`, `{"x":{"a":"}`, `{"x":[}`, `{"x":'a'}`, `{"x":` + strings.Repeat("[", jsonNestingMax+1) + strings.Repeat("]", jsonNestingMax+1) + `}`,
		`{"extFields":{` + strings.TrimSuffix(strings.Repeat(`"":"",`, fieldsMax+1), ",") + `}}`,
	}
	for _, header := range broken {
		frame := jsonFrame(header, "body")
		p, err := parsePrefix(frame, FrameBytesMax)
		if err != nil {
			t.Fatal(err)
		}
		if err := new(Command).decode(p, frame); !errors.Is(err, ErrProtocol) {
			t.Errorf("%.60s: error %v, expected ErrProtocol", header, err)
		}
	}
}

func TestBrokenBinaryHeadersAreProtocolErrors(t *testing.T) {
	t.Parallel()
	good := goldenFrame(t, "send-reply-binary.hex")
	headerBytes := len(good) - prefixBytes - len("ok")
	for cut := range headerBytes {
		c := Command{Serialization: Binary}
		if err := c.decodeBinary(bytes.Clone(good[prefixBytes : prefixBytes+cut])); !errors.Is(err, ErrProtocol) {
			t.Errorf("cut to %d of %d bytes: error %v, expected ErrProtocol", cut, headerBytes, err)
		}
	}
	for name, edit := range map[string]func(h []byte){
		"negative remark length": func(h []byte) { h[13] = 0xff },
		"negative fields length": func(h []byte) { h[17+10] = 0x80 },
		"negative name length":   func(h []byte) { h[17+10+4] = 0x80 },
		"long value":             func(h []byte) { h[17+10+4+2+5] = 0x7f },
	} {
		h := bytes.Clone(good[prefixBytes : prefixBytes+headerBytes])
		edit(h)
		if err := new(Command).decodeBinary(h); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: error %v, expected ErrProtocol", name, err)
		}
	}
}

func TestBinaryHeaderTakesEmptyValuesForAbsentAndIgnoresWhatFollows(t *testing.T) {
	t.Parallel()
	r := Request{Code: RequestBatchAckMessage, Header: []TextField{{"empty", ""}, {"full", "x"}}}
	frame := requestFrame(t, &r, 1, 0, Binary)
	var c Command
	if err := c.decodeBinary(append(frame[prefixBytes:], 1, 2, 3)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fields("full", "x"), c.Fields); diff != "" || c.Code != RequestBatchAckMessage {
		t.Errorf("code %d (-want +got)\n%s", c.Code, diff)
	}
}

func TestBinaryResponseCodesAreNotWidened(t *testing.T) {
	t.Parallel()
	r := Reply{Code: 3442}
	b, _ := r.appendHeader(nil, 1, Binary)
	if c := decodeFrame(t, b); c.Code != 3442 {
		t.Errorf("code %d, expected 3442", c.Code)
	}
	for code := range int32(math.MaxInt16) {
		if wide := widenRequestCode(code); wide != code && int32(int16(wide)) != code {
			t.Errorf("code %d became %d, which is not cut to it", code, wide)
		}
	}
}

func TestFrameLengthsAreChecked(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{
		"00000004 00000000": true, "01000000 00000000": true, "00000004 01000000": true, "00000005 00000001": true,
		"00000003 00000000": false, "00000000 00000000": false, "01000001 00000000": false, "ffffffff 00000000": false,
		"80000000 00000000": false, "00000004 00000001": false, "00000010 00ffffff": false, "00000004 02000000": false, "16030100 00000000": false,
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parsePrefix(b, FrameBytesMax); (err == nil) != good || err != nil && !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: error %v, expected none: %v", text, err, good)
		}
	}
}

func TestAFrameIsDecodedOnlyWhole(t *testing.T) {
	t.Parallel()
	whole := goldenFrame(t, "route-request-json.hex")
	var c Command
	for length := range whole {
		if err := c.Decode(bytes.Clone(whole[:length])); !errors.Is(err, ErrProtocol) {
			t.Fatalf("the first %d of %d bytes: error %v", length, len(whole), err)
		}
	}
	if err := c.Decode(append(bytes.Clone(whole), 0)); !errors.Is(err, ErrProtocol) {
		t.Errorf("with one byte more: error %v", err)
	}
	if err := c.Decode(whole); err != nil || c.Code != RequestGetRouteInfoByTopic {
		t.Errorf("code %d, error %v", c.Code, err)
	}
}

func TestReplyThatDoesNotFitInAFrameBecomesAnError(t *testing.T) {
	t.Parallel()
	r := Reply{Body: make([]byte, FrameBytesMax)}
	r.SetText("a", "b")
	for _, s := range []Serialization{JSON, Binary} {
		b, whole := r.appendHeader([]byte("before"), 5, s)
		c := decodeFrame(t, b[len("before"):])
		if whole || c.Code != ResponseSystemError || c.Opaque != 5 || len(c.Remark) == 0 || c.Body != nil {
			t.Errorf("%v: whole %v, %+v", s, whole, c)
		}
	}
}

func TestRequestThatDoesNotFitInAFrameIsRefused(t *testing.T) {
	t.Parallel()
	large := Request{Body: make([]byte, FrameBytesMax)}
	if b, err := large.appendHeader([]byte("x"), 1, 0, JSON); !errors.Is(err, ErrTooLarge) || string(b) != "x" {
		t.Errorf("error %v, %d bytes left", err, len(b))
	}
	name := Request{Header: []TextField{{strings.Repeat("k", math.MaxInt16+1), "v"}}}
	if b, err := name.appendHeader([]byte("x"), 1, 0, Binary); err == nil || string(b) != "x" {
		t.Errorf("error %v, %d bytes left", err, len(b))
	}
}

func TestAccessorsFollowJavaRules(t *testing.T) {
	t.Parallel()
	c := Command{Fields: fields("a", "first", "a", "last", "t", "TrUe", "f", "yes", "n", "-9223372036854775808", "m", "9223372036854775807",
		"plus", "+5", "over", "9223372036854775808", "under", "-9223372036854775809", "empty", "", "sign", "-", "text", "12x", "huge", strings.Repeat("9", 30))}
	if c.Text("a") != "last" || c.Text("missing") != "" || !c.Bool("t") || c.Bool("f") || c.Bool("missing") {
		t.Errorf("a=%q t=%v f=%v", c.Text("a"), c.Bool("t"), c.Bool("f"))
	}
	if _, ok := c.Get("empty"); !ok {
		t.Error("an empty field counts as absent")
	}
	for key, want := range map[string]int64{"n": math.MinInt64, "m": math.MaxInt64, "plus": 5} {
		if n, ok := c.Int(key); !ok || n != want {
			t.Errorf("%s: %d, %v, expected %d", key, n, ok, want)
		}
	}
	for _, key := range []string{"over", "under", "empty", "sign", "text", "huge", "missing", "a"} {
		if n, ok := c.Int(key); ok {
			t.Errorf("%s: %d, expected no number", key, n)
		}
	}
}

func TestCloneSharesNothing(t *testing.T) {
	t.Parallel()
	frame := goldenFrame(t, "go-client-send.hex")
	c := decodeFrame(t, frame)
	want := decodeFrame(t, goldenFrame(t, "go-client-send.hex"))
	clone := c.Clone()
	clear(frame)
	clear(c.Fields)
	want.Remark = nil // an empty remark has no bytes to copy
	if diff := cmp.Diff(want, clone); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestReplySetReplacesAndResetClears(t *testing.T) {
	t.Parallel()
	var r Reply
	r.Code, r.Remark, r.Body = 5, "x", []byte("y")
	r.SetInt("a", 1)
	r.SetText("b", "2")
	r.SetText("a", "3")
	b, _ := r.appendHeader(nil, 1, JSON)
	if diff := cmp.Diff(fields("a", "3", "b", "2"), decodeFrame(t, append(b, r.Body...)).Fields); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	r.Reset()
	b, _ = r.appendHeader(nil, 1, JSON)
	if c := decodeFrame(t, b); c.Code != 0 || len(c.Fields) != 0 || c.Remark != nil || r.Body != nil {
		t.Errorf("after Reset: %+v", c)
	}
}

// TestEveryByteIsEncodedAsAnyJSONDecoderExpects puts each byte at each place
// of the words that are looked at in one go.
func TestEveryByteIsEncodedAsAnyJSONDecoderExpects(t *testing.T) {
	t.Parallel()
	for ch := range 256 {
		for at := range 20 {
			text := []byte("abcdefghijklmnopqrst")
			text[at] = byte(ch)
			var want string
			if standard, err := json.Marshal(string(text)); err != nil || json.Unmarshal(standard, &want) != nil {
				t.Fatal(err)
			}
			encoded := appendJSONText(nil, text)
			var got string
			if err := json.Unmarshal(encoded, &got); err != nil || got != want || string(encoded) != string(appendJSONText(nil, string(text))) {
				t.Fatalf("byte %#02x at %d: %s, %v", ch, at, encoded, err)
			}
			d := jsonDecoder{b: encoded}
			if back := d.text(); d.err != nil || string(back) != want || d.at != len(encoded) {
				t.Fatalf("byte %#02x at %d: read back as %q, %v", ch, at, back, d.err)
			}
		}
	}
}

func TestFieldsAreReadWithTheStrictnessOfOtherMembers(t *testing.T) {
	t.Parallel()
	for header, fields := range map[string]int{
		`{"extFields":{}}`: 0, `{"extFields":{"a":"b"}}`: 1, `{"extFields":{"a":"b","c":"d"},"code":1}`: 2, `{"extFields":{"a":"b" , "c":"d"}}`: 2,
		`{"extFields":{"a":"b","c":1,"d":null,"e":"f"}}`: 3, `{"extFields":{"a\\":"b","c":"\u0001d","e":"f"}}`: 3, `{"extFields": { "a":"b"}}`: 1,
		`{"extFields":{"":""}}`: 1, `{"extFields":{"a":"b"},"extFields":{"c":"d"}}`: 2,
		`{"extFields":{"a":"b",}}`: -1, `{"extFields":{,"a":"b"}}`: -1, `{"extFields":{"a":"b""c":"d"}}`: -1, `{"extFields":{"a":"b","c"}}`: -1,
		`{"extFields":{"a":"b"`: -1, `{"extFields":{"a":"b",`: -1, `{"extFields":{"a":"b","`: -1, `{"extFields":{"a":"`: -1, `{"extFields":{"a"`: -1,
		`{"extFields":{"a":"b"]}`: -1, `{"extFields":{"a":"b"}`: -1, `{"extFields":{"a":"\x"}}`: -1, `{"extFields":{a:"b"}}`: -1,
	} {
		var c Command
		err := c.decodeJSON([]byte(header))
		if (err == nil) != (fields >= 0) || err == nil && len(c.Fields) != fields {
			t.Errorf("%s: %d fields, %v", header, len(c.Fields), err)
		}
	}
}
