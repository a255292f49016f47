package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

// Refusal is an answer with a code other than 0.
type Refusal struct {
	Address string
	Code    int32
	Remark  string
}

func (r *Refusal) Error() string {
	text := fmt.Sprintf("%s answers %s (%d)", r.Address, CodeName(r.Code), r.Code)
	if r.Remark != "" {
		text += ": " + r.Remark
	}
	return text
}

// IsRefusal reports whether err is an answer with that code.
func IsRefusal(err error, code int32) bool {
	var r *Refusal
	return errors.As(err, &r) && r.Code == code
}

var codeNames = map[int32]string{
	remoting.ResponseSuccess: "SUCCESS", remoting.ResponseSystemError: "SYSTEM_ERROR", remoting.ResponseSystemBusy: "SYSTEM_BUSY",
	remoting.ResponseRequestCodeNotSupported: "REQUEST_CODE_NOT_SUPPORTED", remoting.ResponseFlushDiskTimeout: "FLUSH_DISK_TIMEOUT",
	remoting.ResponseSlaveNotAvailable: "SLAVE_NOT_AVAILABLE", remoting.ResponseFlushSlaveTimeout: "FLUSH_SLAVE_TIMEOUT",
	remoting.ResponseMessageIllegal: "MESSAGE_ILLEGAL", remoting.ResponseServiceNotAvailable: "SERVICE_NOT_AVAILABLE",
	remoting.ResponseNoPermission: "NO_PERMISSION", remoting.ResponseTopicNotExist: "TOPIC_NOT_EXIST",
	remoting.ResponsePullNotFound: "PULL_NOT_FOUND", remoting.ResponsePullRetryImmediately: "PULL_RETRY_IMMEDIATELY",
	remoting.ResponsePullOffsetMoved: "PULL_OFFSET_MOVED", remoting.ResponseQueryNotFound: "QUERY_NOT_FOUND",
	remoting.ResponseGroupNotExist: "SUBSCRIPTION_GROUP_NOT_EXIST", remoting.ResponseInvalidParameter: "INVALID_PARAMETER",
	remoting.ResponseConsumerNotOnline: "CONSUMER_NOT_ONLINE", remoting.ResponseFlowControl: "FLOW_CONTROL",
}

// CodeName is RocketMQ's name of a response code.
func CodeName(code int32) string {
	if name := codeNames[code]; name != "" {
		return name
	}
	return "code"
}

// Ask sends a request to a broker or nameserver and returns the answer,
// whatever its code is. The error says that there was none.
func (c *Cluster) Ask(ctx context.Context, address string, r *remoting.Request) (*remoting.Command, error) {
	return c.ask(ctx, address, r, c.timeout)
}

// AskLong is Ask for requests that may wait on the other side for so long.
func (c *Cluster) AskLong(ctx context.Context, address string, r *remoting.Request, wait time.Duration) (*remoting.Command, error) {
	return c.ask(ctx, address, r, c.timeout+wait)
}

func (c *Cluster) ask(ctx context.Context, address string, r *remoting.Request, timeout time.Duration) (*remoting.Command, error) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client, err := c.client(limited, address)
	if err == nil {
		var answer *remoting.Command
		if answer, err = client.Call(limited, r); err == nil {
			return answer, nil
		}
	}
	if ctx.Err() == nil && limited.Err() != nil {
		err = fmt.Errorf("no answer from %s within %v: %w", address, timeout, remoting.ErrTimeout)
	}
	return nil, err
}

// Call is Ask whose answer has code 0; others are a Refusal.
func (c *Cluster) Call(ctx context.Context, address string, r *remoting.Request) (*remoting.Command, error) {
	answer, err := c.Ask(ctx, address, r)
	if err != nil {
		return nil, err
	}
	if answer.Code != remoting.ResponseSuccess {
		return nil, &Refusal{Address: address, Code: answer.Code, Remark: string(answer.Remark)}
	}
	return answer, nil
}

// client is the connection to an address, made where there is none that works.
func (c *Cluster) client(ctx context.Context, address string) (*remoting.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if client := c.clients[address]; client != nil {
		select {
		case <-client.Done():
		default:
			return client, nil
		}
	}
	client, err := c.self.Dial(ctx, address, remoting.ClientOptions{Logger: c.log})
	if err != nil {
		return nil, err
	}
	c.clients[address] = client
	return client, nil
}

// Nameserver calls the first nameserver that answers.
func (c *Cluster) Nameserver(ctx context.Context, r *remoting.Request) (*remoting.Command, error) {
	if len(c.nameservers) == 0 {
		return nil, errors.New("this needs a nameserver: use --namesrv instead of --broker")
	}
	var failed []error
	for _, address := range c.nameservers {
		answer, err := c.Call(ctx, address, r)
		if refused := (*Refusal)(nil); err == nil || errors.As(err, &refused) {
			return answer, err
		}
		failed = append(failed, err)
	}
	return nil, fmt.Errorf("ask nameserver: %w", errors.Join(failed...))
}

// Nameservers are the addresses of all nameservers.
func (c *Cluster) Nameservers() []string { return c.nameservers }

// NewRequest makes a request with header fields given as key, value, ….
func NewRequest(code int32, fields ...string) *remoting.Request {
	r := &remoting.Request{Code: code}
	for i := 0; i+1 < len(fields); i += 2 {
		r.Set(fields[i], fields[i+1])
	}
	return r
}
