package chaos

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"golang.org/x/sync/errgroup"

	"github.com/apogeemq/apogee/bench/check"
	"github.com/apogeemq/apogee/server/remoting"
)

const (
	// officialWriters share one producer, as the threads of a program do.
	officialWriters = 4
	// officialTries is how often the official producer sends a message at most.
	officialTries = 3
	linesInFlight = 16
	reconnectTime = 20 * time.Millisecond
)

// official is RocketMQ's producer with its default settings.
func (t *traffic) official(ctx context.Context, s *source) error {
	p, err := rocketmq.NewProducer(producer.WithNameServer(t.nameservers), producer.WithInstanceName(instance()), producer.WithGroupName("chaos-producer"))
	if err != nil {
		return fmt.Errorf("start the official producer: %w", err)
	}
	if err := p.Start(); err != nil {
		return fmt.Errorf("start the official producer: %w", err)
	}
	defer func() { _ = p.Shutdown() }()
	ticks := pace(ctx, t.rate)
	var writers sync.WaitGroup
	for range officialWriters {
		w := s.writer(officialTries, false)
		writers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticks:
				}
				w.sendOfficially(p)
			}
		})
	}
	writers.Wait()
	return nil
}

// sendOfficially sends one message and waits for its end. It isn't cut short
// when the load ends: a producer's own time limit bounds it.
func (w *writer) sendOfficially(p rocketmq.Producer) {
	w.finishOfficially(p, w.begin(check.NoQueue))
}

// finishOfficially sends a message that has begun.
func (w *writer) finishOfficially(p rocketmq.Producer, m check.Message) {
	ended := check.Event{Message: m, Status: check.Unknown, Position: check.NoPosition}
	result, err := p.SendSync(context.Background(), primitive.NewMessage(topic, check.Body(m)))
	if err == nil {
		ended.Status = officialStatus(result.Status)
	}
	if site := w.source.traffic.site(result); ended.Status.Placed() {
		if site == nil {
			w.source.traffic.broken(fmt.Sprintf("%v was confirmed by a broker that is not there: %v", m, result))
			ended.Status = check.Unknown
		} else {
			ended.Queue, ended.Offset = site.queue(result.MessageQueue.QueueId), result.QueueOffset
			ended.Position = check.PositionOf(result.OffsetMsgID)
		}
	}
	w.end(ended)
}

func (t *traffic) site(r *primitive.SendResult) *brokerSite {
	if r == nil || r.MessageQueue == nil {
		return nil
	}
	return t.siteNamed(r.MessageQueue.BrokerName)
}

func (t *traffic) siteNamed(name string) *brokerSite {
	for _, s := range t.sites {
		if s.name == name {
			return s
		}
	}
	return nil
}

func officialStatus(s primitive.SendStatus) check.Status {
	switch s {
	case primitive.SendOK:
		return check.OK
	case primitive.SendFlushDiskTimeout:
		return check.FlushTimeout
	case primitive.SendFlushSlaveTimeout:
		return check.SlaveTimeout
	case primitive.SendSlaveNotAvailable:
		return check.SlaveUnavailable
	}
	return check.Unknown
}

// lines sends to a broker with many requests in flight on one connection after
// the other: each connection is a writer of its own.
func (t *traffic) lines(ctx context.Context, s *source, site *brokerSite) error {
	ticks := pace(ctx, t.rate)
	for try := 0; ctx.Err() == nil; try++ {
		session, err := dial(ctx, site.address(try))
		if err != nil {
			pause(ctx, reconnectTime)
			continue
		}
		l := &line{writer: s.writer(1, true), site: site, session: session, room: make(chan struct{}, linesInFlight), lost: make(chan struct{}, 1)}
		l.run(ctx, ticks)
		session.close()
		pause(ctx, reconnectTime)
	}
	return nil
}

// line is one connection.
type line struct {
	*writer
	site    *brokerSite
	session *session
	room    chan struct{} // one for each request in flight
	lost    chan struct{} // the broker can't serve: another replica may
}

// run sends until the connection or the load ends. A line whose answers stay
// out is given up: the messages under way may be anywhere.
func (l *line) run(ctx context.Context, ticks <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			l.drain()
			return
		case <-l.session.client.Done():
			return
		case <-l.lost:
			return
		case l.room <- struct{}{}:
		}
		select {
		case <-ctx.Done():
			<-l.room
			l.drain()
			return
		case <-l.lost:
			return
		case <-l.session.client.Done():
			return
		case <-ticks:
		}
		if !l.send() {
			return
		}
	}
}

// drain waits for the answers that are still out.
func (l *line) drain() {
	for range cap(l.room) {
		select {
		case <-l.session.client.Done():
			return
		case l.room <- struct{}{}:
		}
	}
}

// send sends the next message and reports whether the connection took it.
func (l *line) send() bool {
	id := int(l.sent % topicQueues)
	m := l.begin(l.site.queue(id))
	request := &remoting.Request{Code: remoting.RequestSendMessageV2, Body: check.Body(m),
		Header: fields("a", "chaos-lines", "b", topic, "c", "TBW102", "d", strconv.Itoa(topicQueues), "e", strconv.Itoa(id), "f", "0",
			"g", strconv.FormatInt(time.Now().UnixMilli(), 10), "h", "0", "i", "", "j", "0", "k", "false", "m", "false")}
	err := l.session.client.Go(request, func(reply *remoting.Command, err error) {
		ended := l.outcome(m, reply, err)
		l.end(ended)
		if ended.Code == remoting.ResponseServiceNotAvailable && len(l.site.addresses) > 1 {
			select {
			case l.lost <- struct{}{}:
			default:
			}
		}
		<-l.room
	})
	if err != nil {
		l.end(check.Event{Message: m, Status: check.Unknown, Position: check.NoPosition})
	}
	return err == nil
}

// outcome is what an answer says about a message.
func (l *line) outcome(m check.Message, reply *remoting.Command, err error) check.Event {
	e := check.Event{Message: m, Status: check.Unknown, Position: check.NoPosition}
	if err != nil {
		return e
	}
	e.Status, e.Code = check.StatusOf(reply.Code), reply.Code
	if e.Status.Placed() {
		id, _ := reply.Int("queueId")
		e.Queue = l.site.queue(int(id))
		e.Offset, _ = reply.Int("queueOffset")
		e.Position = check.PositionOf(reply.Text("msgId"))
	}
	return e
}

// produce runs all producers until the context ends.
func (t *traffic) produce(ctx context.Context, sources []*source) error {
	var all errgroup.Group
	all.Go(func() error { return t.official(ctx, sources[0]) })
	for i, site := range t.sites {
		all.Go(func() error { return t.lines(ctx, sources[1+i], site) })
	}
	return all.Wait()
}

// sources are what produce uses: the official producer, and lines to each broker.
func (t *traffic) sources() []*source {
	list := []*source{{traffic: t, name: "official producer"}}
	for _, site := range t.sites {
		list = append(list, &source{traffic: t, name: "lines to " + site.name})
	}
	return list
}
