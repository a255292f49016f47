package nameserver

import (
	"context"
	"fmt"
	"hash/crc32"
	"maps"
	"strconv"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

// topicsPerRegistration keeps a frame far below its limit of 16 MiB.
const topicsPerRegistration = 10_000

// leaveTimeout bounds the wait for the answer when the broker unregisters.
const leaveTimeout = time.Second

// fieldForwards of a registration says that the broker passes requests on to the
// master. RocketMQ's nameservers don't look at it.
const fieldForwards = "forwardsToMaster"

// reporter keeps the broker registered at one nameserver. All but changed
// belongs to one goroutine: run, and leave after it.
type reporter struct {
	registrar *Registrar
	address   string
	changed   chan struct{}

	client *remoting.Client       // nil while there is no connection
	told   map[string]TopicConfig // what the nameserver has taken on this connection
	full   bool                   // the next registration carries all topics
	role   role                   // of the last registration
	good   bool                   // the last registration was taken
}

// run registers at the start, on each change and in each period.
func (p *reporter) run(ctx context.Context) {
	config := &p.registrar.config
	timer := time.NewTimer(0)
	defer timer.Stop()
	pause, failing := config.Retry, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			p.full = true
		case <-p.changed:
			if failing {
				continue // the timer brings all topics
			}
		case <-p.lost():
			p.disconnect()
		}
		if err := p.report(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			p.failed(err, pause)
			timer.Reset(pause)
			pause, failing = min(2*pause, retryMax, config.Period), true
			continue
		}
		p.succeeded()
		pause, failing = config.Retry, false
		if p.full {
			p.full = false
			timer.Reset(config.Period)
		}
	}
}

// report sends what the nameserver doesn't know: all topics on a new
// connection and in each period, else the changed ones.
func (p *reporter) report(ctx context.Context) error {
	if p.client == nil {
		if err := p.connect(ctx); err != nil {
			return err
		}
	}
	if now := *p.registrar.role.Load(); now != p.role {
		p.role, p.told, p.full = now, map[string]TopicConfig{}, true
	}
	version, topics := p.registrar.config.Topics.RegisteredTopics()
	version.StateVersion = p.role.term
	if !p.full {
		topics = p.news(topics)
		if len(topics) == 0 {
			return nil
		}
	}
	if len(p.told) == 0 && len(topics) == 1 {
		// A first registration with one topic would be taken for a change to a
		// table that the nameserver has never seen, and refused.
		if err := p.register(ctx, partialVersion(version, 0), nil); err != nil {
			return err
		}
	}
	for part := 1; len(topics) > topicsPerRegistration; part++ {
		if err := p.register(ctx, partialVersion(version, part), topics[:topicsPerRegistration]); err != nil {
			return err
		}
		topics = topics[topicsPerRegistration:]
	}
	return p.register(ctx, version, topics)
}

// partialVersion is a version unlike that of any whole table: a nameserver
// takes changed topics only together with a version it doesn't have yet.
func partialVersion(v DataVersion, part int) DataVersion {
	v.Counter = -int64(part) - 1
	return v
}

// news are the topics that the nameserver has not taken as they are now. What
// is gone is forgotten: whoever deletes a topic tells the nameserver, and one
// that comes again has to be told anew.
func (p *reporter) news(topics []TopicConfig) []TopicConfig {
	var news []TopicConfig
	there := make(map[string]struct{}, len(topics))
	for _, t := range topics {
		there[t.Name] = struct{}{}
	}
	maps.DeleteFunc(p.told, func(name string, _ TopicConfig) bool {
		_, still := there[name]
		return !still
	})
	for _, t := range topics {
		if told, ok := p.told[t.Name]; !ok || !told.equal(t) {
			news = append(news, t)
		}
	}
	return news
}

func (t TopicConfig) equal(o TopicConfig) bool {
	return t.Name == o.Name && t.ReadQueues == o.ReadQueues && t.WriteQueues == o.WriteQueues &&
		t.Permission == o.Permission && t.FilterType == o.FilterType && t.SystemFlag == o.SystemFlag &&
		t.Order == o.Order && maps.Equal(t.Attributes, o.Attributes)
}

func (p *reporter) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.registrar.config.CallTimeout)
	defer cancel()
	client, err := p.registrar.config.Dial(ctx, p.address)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	p.client, p.told, p.full = client, map[string]TopicConfig{}, true
	return nil
}

// register sends one REGISTER_BROKER.
func (p *reporter) register(ctx context.Context, version DataVersion, topics []TopicConfig) error {
	body := appendRegistration(nil, version, topics)
	request := p.request(remoting.RequestRegisterBroker)
	request.Set("haServerAddr", p.registrar.config.Broker.HAAddress)
	request.Set("enableActingMaster", "false")
	request.Set("compressed", "false")
	if p.registrar.config.Broker.Forwards {
		request.Set(fieldForwards, "true")
	}
	request.Set("bodyCrc32", strconv.FormatInt(int64(crc32.ChecksumIEEE(body)&0x7fffffff), 10))
	request.Body = body
	if err := p.call(ctx, request); err != nil {
		return err
	}
	for _, t := range topics {
		p.told[t.Name] = t
	}
	return nil
}

// request begins a request with the broker's identity.
func (p *reporter) request(code int32) *remoting.Request {
	b := &p.registrar.config.Broker
	request := &remoting.Request{Code: code}
	request.Set("brokerName", b.Name)
	request.Set("brokerAddr", b.Address)
	request.Set("clusterName", b.Cluster)
	request.Set("brokerId", strconv.FormatInt(p.role.id, 10))
	return request
}

func (p *reporter) call(ctx context.Context, request *remoting.Request) error {
	ctx, cancel := context.WithTimeout(ctx, p.registrar.config.CallTimeout)
	defer cancel()
	response, err := p.client.Call(ctx, request)
	if err != nil {
		return err
	}
	if response.Code != remoting.ResponseSuccess {
		return fmt.Errorf("nameserver answered %d: %s", response.Code, response.Remark)
	}
	return nil
}

// failed drops the connection, so that the next attempt begins anew.
func (p *reporter) failed(err error, pause time.Duration) {
	if p.good {
		p.good = false
		p.registrar.registered.Add(-1)
	}
	p.registrar.config.Log.Warn("broker not registered at nameserver, trying again",
		"nameserver", p.address, "in", pause, "cause", err)
	p.disconnect()
}

func (p *reporter) succeeded() {
	if !p.good {
		p.good = true
		p.registrar.accepted()
		p.registrar.config.Log.Info("broker registered at nameserver", "nameserver", p.address,
			"broker", p.registrar.config.Broker.Name, "address", p.registrar.config.Broker.Address, "topics", len(p.told))
	}
}

// lost is closed when the connection ends: the nameserver has forgotten the
// broker then. It is nil, which is never ready, while there is no connection.
func (p *reporter) lost() <-chan struct{} {
	if p.client == nil {
		return nil
	}
	return p.client.Done()
}

func (p *reporter) disconnect() {
	if p.client != nil {
		p.client.Close()
		p.client = nil
	}
}

// leave unregisters. A nameserver that hangs is not waited for: the end of the
// connection tells it as well.
func (p *reporter) leave(ctx context.Context) {
	if p.client == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	if err := p.call(ctx, p.request(remoting.RequestUnregisterBroker)); err != nil {
		p.registrar.config.Log.Warn("broker not unregistered at nameserver", "nameserver", p.address, "cause", err)
	}
	p.disconnect()
	if p.good {
		p.good = false
		p.registrar.registered.Add(-1)
	}
}

// appendRegistration writes a RegisterBrokerBody.
func appendRegistration(dst []byte, version DataVersion, topics []TopicConfig) []byte {
	const d = fastjson
	dst = append(dst, '{')
	dst = append(d.appendMember(dst, "filterServerList"), "[]"...)
	dst = append(d.appendMember(dst, "topicConfigSerializeWrapper"), '{')
	dst = appendDataVersion(d.appendMember(dst, "dataVersion"), version)
	dst = appendDataVersion(d.appendMember(dst, "mappingDataVersion"), DataVersion{})
	dst = append(d.appendMember(dst, "topicConfigTable"), '{')
	for _, t := range topics {
		dst = t.append(d.appendMember(dst, t.Name))
	}
	dst = append(dst, '}')
	dst = append(d.appendMember(dst, "topicQueueMappingDetailMap"), "{}"...)
	dst = append(d.appendMember(dst, "topicQueueMappingInfoMap"), "{}"...)
	return append(dst, '}', '}')
}
