package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/apogeemq/apogee/server/remoting"
)

// Bounds of one INVOKE_BROKER_TO_GET_CONSUMER_STATUS.
const (
	statusAskedAtOnce = 16
	statusBytesMax    = 8 << 20 // of all answers
)

// showClientOffsets answers INVOKE_BROKER_TO_GET_CONSUMER_STATUS with the
// offsets that the members of a group hold in memory, or that one of them does.
// A member that doesn't answer in time is left out.
func (b *Broker) showClientOffsets(rt remoting.ReplyTo, cmd *remoting.Command) {
	group, client := cmd.Text("group"), cmd.Text("clientAddr") // RocketMQ's tools send a client id
	members := b.clients.online(group, client)
	if len(members) == 0 {
		b.answerError(rt, refuse(remoting.ResponseSystemError, "No Any Consumer online in the consumer group: [%.*s]", groupBytesMax, group))
		return
	}
	request := &remoting.Request{Code: remoting.RequestGetConsumerStatusFromClient, Header: []remoting.TextField{
		{Key: "topic", Value: cmd.Text("topic")}, {Key: "group", Value: group},
	}}
	b.relayAll(rt, func(ctx context.Context) {
		tables := askMembers(ctx, members, request)
		var f fastJSON
		f.raw(`{"consumerTable":{`)
		written := false
		for _, m := range members {
			table := tables[m.conn]
			if table == nil || len(f.text)+len(table) > statusBytesMax {
				continue
			}
			if written {
				f.raw(",")
			}
			written = true
			f.value(m.client).raw(":").raw(string(table))
		}
		f.raw(`},"messageQueueTable":{}}`)
		rt.Send(&remoting.Reply{Body: f.text})
	})
}

// askMembers returns what the members answered until ctx ended.
func askMembers(ctx context.Context, members []member, request *remoting.Request) map[*remoting.Conn][]byte {
	var mu sync.Mutex
	tables := make(map[*remoting.Conn][]byte)
	var asked errgroup.Group
	asked.SetLimit(statusAskedAtOnce)
	for _, m := range members {
		asked.Go(func() error {
			response, err := m.conn.Call(ctx, request)
			if err != nil || response.Code != remoting.ResponseSuccess {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			tables[m.conn] = offsetTableOf(response.Body)
			return nil
		})
	}
	_ = asked.Wait() // no member's failure is one of the request
	return tables
}

// offsetTableOf cuts the map by queue out of a client's answer, nil where there
// is none. Java's clients write it with queues as keys, which is no JSON; so it
// is passed on as it is, after a look that it ends where it should.
func offsetTableOf(body []byte) []byte {
	const name = `"messageQueueTable"`
	at := bytes.Index(body, []byte(name))
	if at < 0 {
		return nil
	}
	rest := bytes.TrimLeft(body[at+len(name):], " \t\r\n")
	if len(rest) == 0 || rest[0] != ':' {
		return nil
	}
	rest = bytes.TrimLeft(rest[1:], " \t\r\n")
	if len(rest) == 0 || rest[0] != '{' {
		return nil
	}
	return balanced(rest)
}

// nestingMax bounds the depth of a value that is passed on.
const nestingMax = 64

// balanced is the object that text begins with, nil when it has no end or
// holds what can't stand in one.
func balanced(text []byte) []byte {
	var open []byte
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '{', '[':
			if open = append(open, c+2); len(open) > nestingMax { // the closing bracket is two further
				return nil
			}
		case '}', ']':
			if len(open) == 0 || open[len(open)-1] != c {
				return nil
			}
			if open = open[:len(open)-1]; len(open) == 0 {
				return text[:i+1]
			}
		case '"':
			end := textEnd(text[i:])
			if end < 0 || !json.Valid(text[i:i+end]) {
				return nil
			}
			i += end - 1
		default:
			if len(open) == 0 || c < ' ' && c != '\n' && c != '\t' && c != '\r' {
				return nil
			}
		}
	}
	return nil
}

// textEnd is the length of the quoted text that b begins with, -1 when it
// doesn't end.
func textEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}
