package admin

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/client"
	"github.com/apogeemq/apogee/tools/message"
)

// found are messages with their places.
type found []foundMessage

type foundMessage struct {
	Broker string `json:"broker"`
	message.Place
	*message.Message
}

func (f found) table(w *tabwriter.Writer) {
	for i, m := range f {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s %s queue %d offset %d stored %s id %s\n", message.Quoted(m.Topic), m.Broker, m.Queue, m.Offset,
			message.TimeText(m.StoreTimestamp), m.MessageID)
		m.Print(io.Writer(w))
	}
}

// search is what the commands under `message` have in common.
type search struct {
	*options
	form     message.Form
	from, to string
	limit    int
}

func (o *options) messageCommand() *cobra.Command {
	s := &search{options: o}
	cmd := &cobra.Command{Use: "message", Short: "Show messages: by id, key, unique key, or queue and offset"}
	cmd.PersistentFlags().StringVar((*string)(&s.form), "body", string(message.Text), "how bodies are shown: text, hex or none")
	byKey := &cobra.Command{Use: "key TOPIC KEY", Short: "Show the messages with a key", Args: cobra.ExactArgs(2), RunE: o.show(s.byKey)}
	f := byKey.Flags()
	f.StringVar(&s.from, "from", "", "only stored at this `time` or later (RFC 3339 or Unix milliseconds)")
	f.StringVar(&s.to, "to", "", "only stored up to this `time`")
	f.IntVar(&s.limit, "limit", 64, "messages of each broker")
	cmd.AddCommand(byKey,
		&cobra.Command{Use: "id ID", Short: "Show the message with an id that a broker gave", Args: cobra.ExactArgs(1), RunE: o.show(s.byID)},
		&cobra.Command{Use: "unique-key TOPIC KEY", Short: "Show the message with an id that a client gave (UNIQ_KEY)", Args: cobra.ExactArgs(2), RunE: o.show(s.byUniqueKey)},
		&cobra.Command{Use: "offset TOPIC QUEUE OFFSET", Short: "Show the message at an offset, of every broker with that queue", Args: cobra.ExactArgs(3), RunE: o.show(s.byOffset)},
	)
	return cmd
}

// add appends the records of an answer. wanted decides which.
func (s *search) add(all found, broker string, body []byte, wanted func(*record.Record) bool) (found, error) {
	for len(body) > 0 {
		r, rest, err := record.Decode(body)
		if err != nil {
			return all, fmt.Errorf("answer of %s: %w", broker, err)
		}
		if wanted(&r) {
			all = append(all, foundMessage{broker, message.PlaceOf(&r), message.Of(&r, s.form)})
		}
		body = rest
	}
	return all, nil
}

func every(*record.Record) bool { return true }

// byID asks the broker whose address is in the id, or that of --broker.
func (s *search) byID(ctx context.Context, c *client.Cluster, args []string) (view, error) {
	position, err := record.ParseMessageID(args[0])
	if err != nil {
		return nil, err
	}
	address := s.client.Broker
	if address == "" {
		address = hostOfID(args[0])
	}
	answer, err := c.Call(ctx, address, client.NewRequest(remoting.RequestViewMessageByID, "offset", strconv.FormatInt(position, 10)))
	if err != nil {
		return nil, fmt.Errorf("%w (an id that begins with a client's address is a unique key: `apogee admin message unique-key TOPIC %s`)", err, args[0])
	}
	return s.add(nil, address, answer.Body, every)
}

// hostOfID reads the broker's address from an id that ParseMessageID has taken.
func hostOfID(id string) string {
	raw, _ := hex.DecodeString(id)
	host := raw[:len(raw)-8]
	address, _ := netip.AddrFromSlice(host[:len(host)-4])
	return netip.AddrPortFrom(address, uint16(binary.BigEndian.Uint32(host[len(host)-4:]))).String()
}

func (s *search) byKey(ctx context.Context, c *client.Cluster, args []string) (view, error) {
	from, to := int64(0), int64(math.MaxInt64)
	var err error
	if s.from != "" {
		from, err = message.ParseTime("--from", s.from)
	}
	if s.to != "" && err == nil {
		to, err = message.ParseTime("--to", s.to)
	}
	if err != nil {
		return nil, err
	}
	if s.limit < 1 {
		return nil, fmt.Errorf("--limit %d is not allowed: use 1 or more", s.limit)
	}
	r := queryRequest(args[0], args[1], s.limit, from, to)
	r.Set("_UNIQUE_KEY_QUERY", "false")
	return s.query(ctx, c, args[0], r, func(r *record.Record) bool {
		return slices.Contains(strings.Fields(string(record.Properties(r.Properties).Known().Keys)), args[1])
	})
}

func (s *search) byUniqueKey(ctx context.Context, c *client.Cluster, args []string) (view, error) {
	const some = 32 // retries of a send have the same key
	r := queryRequest(args[0], args[1], some, 0, math.MaxInt64)
	r.Set("_UNIQUE_KEY_QUERY", "true")
	return s.query(ctx, c, args[0], r, func(r *record.Record) bool {
		return string(record.Properties(r.Properties).Known().UniqueKey) == args[1]
	})
}

func queryRequest(topic, key string, limit int, from, to int64) *remoting.Request {
	return client.NewRequest(remoting.RequestQueryMessage, "topic", topic, "key", key, "maxNum", strconv.Itoa(limit),
		"beginTimestamp", strconv.FormatInt(from, 10), "endTimestamp", strconv.FormatInt(to, 10))
}

// query asks all brokers of a topic. Brokers search by a hash, so what they
// find is looked at once more.
func (s *search) query(ctx context.Context, c *client.Cluster, topic string, r *remoting.Request, wanted func(*record.Record) bool) (view, error) {
	if err := s.form.Check(); err != nil {
		return nil, err
	}
	route, err := c.Route(ctx, topic)
	if err != nil {
		return nil, err
	}
	all := found{}
	var failed []error
	for _, b := range route.Brokers {
		answer, err := c.Call(ctx, b.Reading(), r)
		if err == nil {
			all, err = s.add(all, b.Name, answer.Body, wanted)
		}
		if err != nil && !client.IsRefusal(err, remoting.ResponseQueryNotFound) {
			failed = append(failed, fmt.Errorf("broker %s: %w", b.Name, err))
		}
	}
	if len(all) == 0 && len(failed) == 0 {
		failed = append(failed, errors.New("no such message"))
	}
	return all, errors.Join(failed...)
}

func (s *search) byOffset(ctx context.Context, c *client.Cluster, args []string) (view, error) {
	queue, err := strconv.Atoi(args[1])
	if err != nil || queue < 0 {
		return nil, fmt.Errorf("queue %q is not allowed: use the number of a queue", args[1])
	}
	offset, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil || offset < 0 {
		return nil, fmt.Errorf("offset %q is not allowed: use a number from 0 on", args[2])
	}
	queues, err := c.ReadQueues(ctx, args[0])
	if err != nil {
		return nil, err
	}
	all := found{}
	for _, q := range queues {
		if q.Queue != queue {
			continue
		}
		const subscriptionIncluded = "4"
		answer, err := c.Ask(ctx, q.Address, client.NewRequest(remoting.RequestPullMessage, "consumerGroup", "TOOLS_CONSUMER",
			"topic", q.Topic, "queueId", args[1], "queueOffset", args[2], "maxMsgNums", "1", "sysFlag", subscriptionIncluded,
			"commitOffset", "0", "suspendTimeoutMillis", "0", "subscription", "*", "subVersion", "1", "expressionType", "TAG"))
		if err != nil {
			return nil, err
		}
		if all, err = s.add(all, q.Broker, answer.Body, func(r *record.Record) bool { return r.QueueOffset == offset }); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return all, fmt.Errorf("queue %d of topic %q has no message at offset %d: see `apogee admin topics show %s`", queue, args[0], offset, args[0])
	}
	return all, nil
}
