package access

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/server/remoting"
)

// request makes a command of key, value pairs.
func request(code int32, body string, pairs ...string) *remoting.Command {
	cmd := &remoting.Command{Code: code, Version: remoting.Version, Body: []byte(body)}
	for i := 0; i < len(pairs); i += 2 {
		cmd.Fields = append(cmd.Fields, remoting.Field{Key: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	return cmd
}

// signed signs a command as a client does.
func signed(c Credentials, cmd *remoting.Command) *remoting.Command {
	r := c.Sign(remoting.RequestFrom(cmd))
	out := &remoting.Command{Code: cmd.Code, Version: cmd.Version, Body: cmd.Body}
	for _, f := range r.Header {
		out.Fields = append(out.Fields, remoting.Field{Key: []byte(f.Key), Value: []byte(f.Value)})
	}
	return out
}

func TestSignaturesAreThoseOfRocketMQsClients(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, signature string
		cmd             *remoting.Command
	}{
		{"fields in the order of their names, then the body", "IJasNQZwWusRsRfzKT2df7T3UNY=",
			request(10, "body", "queueId", "0", "AccessKey", "ak", "topic", "T")},
		{"a field that is sent twice", "IJasNQZwWusRsRfzKT2df7T3UNY=",
			request(10, "body", "queueId", "0", "topic", "T", "topic", "T", "AccessKey", "ak", "queueId", "0")},
		{"the signature itself isn't signed", "IJasNQZwWusRsRfzKT2df7T3UNY=",
			request(10, "body", "topic", "T", "Signature", "x", "queueId", "0", "AccessKey", "ak")},
	} {
		if !newSigner("secret").signs(c.cmd, []byte(c.signature)) {
			t.Errorf("%s: %s is refused", c.name, c.signature)
		}
	}
	r := Credentials{"ak", "secret"}.Sign(&remoting.Request{Code: 10, Body: []byte("body"),
		Header: []remoting.TextField{{Key: "topic", Value: "T"}, {Key: "queueId", Value: "0"}}})
	if last := r.Header[len(r.Header)-1]; last.Key != "Signature" || last.Value != "IJasNQZwWusRsRfzKT2df7T3UNY=" {
		t.Errorf("a request is signed with %+v", last)
	}
}

func TestAChangedRequestHasAnotherSignature(t *testing.T) {
	t.Parallel()
	who := Credentials{"ak", "secret"}
	s := newSigner("secret")
	good := func() *remoting.Command { return signed(who, request(10, "body", "topic", "T", "queueId", "0")) }
	for name, change := range map[string]func(*remoting.Command){
		"the body": func(c *remoting.Command) { c.Body = []byte("bodY") },
		"a value":  func(c *remoting.Command) { c.Fields[0].Value = []byte("U") },
		"one more field": func(c *remoting.Command) {
			c.Fields = append(c.Fields, remoting.Field{Key: []byte("x"), Value: []byte("y")})
		},
		"a second value before": func(c *remoting.Command) {
			c.Fields = append([]remoting.Field{{Key: []byte("topic"), Value: []byte("U")}}, c.Fields...)
		},
		"a second value after": func(c *remoting.Command) {
			c.Fields = append(c.Fields, remoting.Field{Key: []byte("topic"), Value: []byte("U")})
		},
		"an empty second value": func(c *remoting.Command) { c.Fields = append(c.Fields, remoting.Field{Key: []byte("topic")}) },
		"a field that is gone":  func(c *remoting.Command) { c.Fields = c.Fields[1:] },
		"an unsigned query mark": func(c *remoting.Command) {
			c.Fields = append(c.Fields, remoting.Field{Key: []byte("_UNIQUE_KEY_QUERY"), Value: []byte("true")})
		},
	} {
		cmd := good()
		signature := cmd.Text("Signature")
		if !s.signs(cmd, []byte(signature)) {
			t.Fatal("an unchanged request is refused")
		}
		change(cmd)
		if s.signs(cmd, []byte(signature)) {
			t.Errorf("%s: the old signature is accepted", name)
		}
	}
	for _, signature := range []string{"", "x", "IJasNQZwWusRsRfzKT2df7T3UNY", good().Text("Signature") + "="} {
		if s.signs(good(), []byte(signature)) {
			t.Errorf("signature %q is accepted", signature)
		}
	}
	if newSigner("other").signs(good(), []byte(good().Text("Signature"))) {
		t.Error("a signature of another key is accepted")
	}
}

func TestOldClientsMaySignAQueryWithOrWithoutItsMark(t *testing.T) {
	t.Parallel()
	who, s := Credentials{"ak", "secret"}, newSigner("secret")
	marked := request(12, "", "topic", "T", "_UNIQUE_KEY_QUERY", "true")
	whole := signed(who, marked)
	bare := signed(who, request(12, "", "topic", "T"))
	bare.Fields = append(bare.Fields, marked.Fields[1])
	for _, c := range []struct {
		cmd     *remoting.Command
		version int32
		want    bool
	}{{whole, 399, true}, {whole, 479, true}, {bare, 399, true}, {bare, 400, false}} {
		c.cmd.Version = c.version
		if got := s.signs(c.cmd, []byte(c.cmd.Text("Signature"))); got != c.want {
			t.Errorf("version %d, %d fields: accepted %v, want %v", c.version, len(c.cmd.Fields), got, c.want)
		}
	}
}

// expectNoAllocations takes the least of some measurements.
func expectNoAllocations(t *testing.T, f func() error) {
	t.Helper()
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	least := 1e9
	for range 5 {
		least = min(least, testing.AllocsPerRun(200, func() {
			if err := f(); err != nil {
				t.Fatal(err)
			}
		}))
	}
	if least > 0 {
		t.Errorf("%v allocations for one request", least)
	}
}

func TestASignedSendIsCheckedWithoutAllocations(t *testing.T) {
	g := guard(t, rulesText)
	cmd := signed(sender, request(remoting.RequestSendMessageV2, "some body", "a", "P", "b", "orders", "e", "3", "i", "KEYS\x01k\x02"))
	expectNoAllocations(t, func() error { return g.check(elsewhere, cmd) })
}

func TestAnEncodedRequestIsSignedInItsPlaceWithoutAllocations(t *testing.T) {
	place := strings.Repeat("0", SignatureBytes)
	text := `{"code":10,"extFields":{"queueId":"0","Signature":"` + place + `","topic":"\u0054","AccessKey":"ak"}}`
	header := binary.BigEndian.AppendUint32(nil, uint32(len(text)))
	whole := append(binary.BigEndian.AppendUint32(nil, uint32(len(header)+len(text)+4)), header...)
	whole = append(append(whole, text...), "body"...)
	want := bytes.Replace(whole, []byte(place), []byte("IJasNQZwWusRsRfzKT2df7T3UNY="), 1)
	s, at := Credentials{"ak", "secret"}.NewFrameSigner(), bytes.Index(whole, []byte(place))
	if err := s.Sign(whole, at); err != nil || !bytes.Equal(whole, want) {
		t.Errorf("%q, %v", whole, err)
	}
	if s.Sign(whole[:len(whole)-1], at) == nil {
		t.Error("half a request is signed")
	}
	expectNoAllocations(t, func() error { return s.Sign(whole, at) })
}

func TestCredentialsAreReadFromAFileOfRocketMQsTools(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tools.yml")
	write(t, path, "accessKey: rocketmq2\nsecretKey: 12345678\n")
	if c, err := ReadCredentials(path); err != nil || c != (Credentials{"rocketmq2", "12345678"}) {
		t.Errorf("%+v, %v", c, err)
	}
	for _, text := range []string{"", "accessKey: rocketmq2", "accessKey: [", "7"} {
		write(t, path, text)
		if _, err := ReadCredentials(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := ReadCredentials(path + ".gone"); err == nil {
		t.Error("a file that isn't there was read")
	}
}
