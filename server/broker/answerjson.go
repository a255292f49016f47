package broker

import (
	"bytes"
	"encoding/json"

	"github.com/apogeemq/apogee/server/remoting"
)

// answerJSON sends a body as fastjson would write it: members in the order of
// their names is up to the types, <, > and & stand for themselves.
func (b *Broker) answerJSON(rt remoting.ReplyTo, body any) {
	var reply remoting.Reply
	b.answerJSONWith(rt, &reply, body)
}

// answerJSONWith is answerJSON with header fields that reply already has.
func (b *Broker) answerJSONWith(rt remoting.ReplyTo, reply *remoting.Reply, body any) {
	encoded, err := encodeJSON(body)
	if err != nil {
		b.answerError(rt, err)
		return
	}
	reply.Body = encoded
	rt.Send(reply)
}

func encodeJSON(body any) ([]byte, error) {
	var encoded bytes.Buffer
	e := json.NewEncoder(&encoded)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(encoded.Bytes(), []byte("\n")), nil
}
