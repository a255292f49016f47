package remoting

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// capturedClients have sent the frames in testdata/captured.
var capturedClients = []struct {
	name     string
	language uint8
	version  int32
}{
	{"go-2.1.2", LanguageGo, 317},
	{"java-4.9.8-json", LanguageJava, 409}, {"java-4.9.8-binary", LanguageJava, 409},
	{"java-5.5.0-json", LanguageJava, 513}, {"java-5.5.0-binary", LanguageJava, 513},
}

// capturedFrames are the frames of an official client.
func capturedFrames(t testing.TB, client string) [][]byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "captured", client+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	var frames [][]byte
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		frame, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, frame)
	}
	return frames
}

func fieldsOf(c *Command) map[string]string {
	fields := map[string]string{}
	for _, f := range c.Fields {
		fields[string(f.Key)] = string(f.Value)
	}
	return fields
}

func TestFramesOfOfficialClientsSurviveEncodingInEitherForm(t *testing.T) {
	t.Parallel()
	for _, client := range capturedClients {
		codes := map[int32]int{}
		for i, frame := range capturedFrames(t, client.name) {
			want := decodeFrame(t, bytes.Clone(frame))
			codes[want.Code]++
			if want.Language != client.language || want.Version != client.version || want.IsResponse() || len(want.Remark) > 0 {
				t.Errorf("%s, frame %d: %+v", client.name, i, want)
			}
			for _, s := range []Serialization{JSON, Binary} {
				got := decodeFrame(t, requestFrame(t, RequestFrom(want), want.Opaque, want.Flag, s))
				fields := fieldsOf(want)
				if s == Binary { // has no empty values
					maps.DeleteFunc(fields, func(_, value string) bool { return value == "" })
				}
				if got.Code != want.Code || got.Opaque != want.Opaque || got.Flag != want.Flag || !bytes.Equal(got.Body, want.Body) || !maps.Equal(fieldsOf(got), fields) {
					t.Errorf("%s, frame %d as %v: %+v, expected %+v", client.name, i, s, got, want)
				}
			}
		}
		sends := codes[RequestSendMessage] + codes[RequestSendMessageV2]
		for _, code := range []int32{RequestGetRouteInfoByTopic, RequestHeartBeat, RequestSendBatchMessage, RequestPullMessage, RequestQueryConsumerOffset, RequestUpdateConsumerOffset} {
			if codes[code] == 0 || sends == 0 {
				t.Errorf("%s: codes %v, there is no %d", client.name, codes, code)
			}
		}
	}
}

func TestJSONFramesOfOfficialClientsMeanWhatAnyJSONDecoderSees(t *testing.T) {
	t.Parallel()
	for _, client := range capturedClients {
		for i, frame := range capturedFrames(t, client.name) {
			p, err := parsePrefix(frame, FrameBytesMax)
			if err != nil {
				t.Fatal(err)
			}
			if p.serialization != JSON {
				continue
			}
			var want struct {
				Code, Opaque, Flag, Version int32
				Language                    string
				ExtFields                   map[string]string
			}
			if err := json.Unmarshal(frame[prefixBytes:prefixBytes+p.headerBytes], &want); err != nil {
				t.Fatal(err)
			}
			got := decodeFrame(t, bytes.Clone(frame))
			if got.Code != want.Code || got.Opaque != want.Opaque || got.Flag != want.Flag || got.Version != want.Version ||
				LanguageName(got.Language) != want.Language || len(got.Fields) != len(want.ExtFields) || !maps.Equal(fieldsOf(got), want.ExtFields) {
				t.Errorf("%s, frame %d: %+v, expected %+v", client.name, i, got, want)
			}
		}
	}
}

func TestAJavaClientSaysTheSameInBothForms(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"java-4.9.8-", "java-5.5.0-"} {
		names := func(form string) map[int32][]string {
			all := map[int32][]string{}
			for _, frame := range capturedFrames(t, version+form) {
				c := decodeFrame(t, frame)
				fields := fieldsOf(c)
				maps.DeleteFunc(fields, func(_, value string) bool { return value == "" })
				all[c.Code] = slices.Sorted(maps.Keys(fields))
			}
			return all
		}
		inJSON, inBinary := names("json"), names("binary")
		for code := range inBinary {
			if both, ok := inJSON[code]; ok && !slices.Equal(both, inBinary[code]) {
				t.Errorf("%s, request %d: JSON fields %v, binary fields %v", version, code, both, inBinary[code])
			}
		}
	}
}
