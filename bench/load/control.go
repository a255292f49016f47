package load

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/apogeemq/apogee/bench/frame"
	"github.com/apogeemq/apogee/server/access"
	"github.com/apogeemq/apogee/server/remoting"
)

const (
	controlTimeout     = 10 * time.Second
	permissionReadSend = "6"
)

// control makes the few requests before the load starts.
type control struct{ client *remoting.Client }

func dialControl(ctx context.Context, self access.Client, addr string, s frame.Serialization) (*control, error) {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	client, err := self.Dial(ctx, addr, remoting.ClientOptions{Serialization: remoting.Serialization(s)})
	if err != nil {
		return nil, fmt.Errorf("reach the server: %w", err)
	}
	return &control{client: client}, nil
}

func (c *control) close() { c.client.Close() }

// call sends one request and returns its reply, which must have code 0.
func (c *control) call(ctx context.Context, r *remoting.Request) (*remoting.Command, error) {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	reply, err := c.client.Call(ctx, r)
	if err != nil {
		return nil, err
	}
	if reply.Code != remoting.ResponseSuccess {
		return nil, fmt.Errorf("the server answers code %d: %s", reply.Code, reply.Remark)
	}
	return reply, nil
}

// createTopic makes a topic with the given number of read and write queues.
func (c *control) createTopic(ctx context.Context, name string, queues int) error {
	count := strconv.Itoa(queues)
	_, err := c.call(ctx, &remoting.Request{Code: remoting.RequestUpdateAndCreateTopic, Header: []remoting.TextField{
		{Key: "topic", Value: name}, {Key: "defaultTopic", Value: "TBW102"},
		{Key: "readQueueNums", Value: count}, {Key: "writeQueueNums", Value: count},
		{Key: "perm", Value: permissionReadSend}, {Key: "topicFilterType", Value: "SINGLE_TAG"},
		{Key: "topicSysFlag", Value: "0"}, {Key: "order", Value: "false"},
	}})
	if err != nil {
		return fmt.Errorf("create topic %q: %w", name, err)
	}
	return nil
}

// bound asks for a queue's smallest or next offset, as the code says.
func (c *control) bound(ctx context.Context, code int32, topic string, queue int) (int64, error) {
	reply, err := c.call(ctx, &remoting.Request{Code: code, Header: []remoting.TextField{
		{Key: "topic", Value: topic}, {Key: "queueId", Value: strconv.Itoa(queue)}}})
	if err != nil {
		return 0, fmt.Errorf("ask for the bounds of queue %d of topic %q: %w", queue, topic, err)
	}
	offset, ok := reply.Int("offset")
	if !ok {
		return 0, fmt.Errorf("ask for the bounds of queue %d of topic %q: no offset in the reply", queue, topic)
	}
	return offset, nil
}

// CreateTopic makes a topic on the broker at addr. It is also a probe: when
// it succeeds the broker serves requests.
func CreateTopic(ctx context.Context, self access.Client, addr, name string, queues int) error {
	c, err := dialControl(ctx, self, addr, frame.JSON)
	if err != nil {
		return err
	}
	defer c.close()
	return c.createTopic(ctx, name, queues)
}
