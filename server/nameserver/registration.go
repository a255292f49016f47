package nameserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zlib"
)

// Limits of one registration. A frame holds at most 16 MiB, so only the
// compressed form can be much larger than what arrived.
const (
	maxNameBytes         = 255       // topics, brokers, clusters, addresses
	maxTopicsInBody      = 500_000   // in one registration
	maxBrokersInBody     = 10_000    // of one topic
	maxEntryBytes        = 64 << 10  // one topic of a compressed body
	maxUncompressedBytes = 128 << 20 // a compressed body, unpacked
)

// Versions of RocketMQ from which on a body has another shape.
const (
	version3_0_11 = 37  // body is a RegisterBrokerBody, before it a bare topic table
	version4_9_4  = 401 // client reads standard JSON routes
)

// DataVersion tells whether a broker's topic table has changed. Versions are
// compared for equality, but for StateVersion, which grows with each new
// master of a broker name.
type DataVersion struct {
	StateVersion int64
	Timestamp    int64 // ms
	Counter      int64
}

// queueData is what a route says about one topic on one broker name.
type queueData struct {
	readQueues, writeQueues, permission, systemFlag int32
}

// registration is what a broker tells about itself in a body.
type registration struct {
	version DataVersion
	topics  map[string]queueData
}

var errBody = errors.New("registration body")

// decodeRegistration reads the body of REGISTER_BROKER as a broker of the
// given version sends it. RocketMQ 5 compresses the body when asked to but
// never says so in the header, so a zlib stream is recognised by its first
// byte as well, which begins no JSON.
func decodeRegistration(body []byte, compressed bool, brokerVersion int32) (registration, error) {
	r := registration{topics: map[string]queueData{}}
	var err error
	switch {
	case len(body) == 0:
	case compressed || body[0] == 0x78:
		err = r.readCompressed(body)
	default:
		s := &scanner{data: body}
		if brokerVersion < version3_0_11 {
			r.readWrapper(s)
		} else {
			s.object(func(key string) {
				if key == "topicConfigSerializeWrapper" {
					r.readWrapper(s)
				} else {
					s.skip()
				}
			})
		}
		err = s.end()
	}
	if err != nil {
		return registration{}, fmt.Errorf("%w: %w", errBody, err)
	}
	return r, nil
}

// readWrapper reads a TopicConfigSerializeWrapper.
func (r *registration) readWrapper(s *scanner) {
	s.object(func(key string) {
		switch key {
		case "dataVersion":
			r.version = readDataVersion(s)
		case "topicConfigTable":
			s.object(func(name string) {
				if r.add(readTopic(s, name)); len(r.topics) > maxTopicsInBody {
					s.fail("more topics than " + strconv.Itoa(maxTopicsInBody))
				}
			})
		default:
			s.skip()
		}
	})
}

func (r *registration) add(name string, q queueData) {
	if name != "" {
		r.topics[name] = q
	}
}

func readDataVersion(s *scanner) DataVersion {
	var v DataVersion
	s.object(func(key string) {
		switch key {
		case "stateVersion":
			v.StateVersion = s.integer(math.MinInt64, math.MaxInt64, 0)
		case "timestamp":
			v.Timestamp = s.integer(math.MinInt64, math.MaxInt64, 0)
		case "counter":
			v.Counter = s.integer(math.MinInt64, math.MaxInt64, 0)
		default:
			s.skip()
		}
	})
	return v
}

// decodeDataVersion reads the body of QUERY_DATA_VERSION.
func decodeDataVersion(body []byte) (DataVersion, error) {
	s := &scanner{data: body}
	v := readDataVersion(s)
	return v, s.end()
}

func appendDataVersion(dst []byte, v DataVersion) []byte {
	dst = append(dst, '{')
	dst = fastjson.appendIntMember(dst, "counter", v.Counter)
	dst = fastjson.appendIntMember(dst, "stateVersion", v.StateVersion)
	dst = fastjson.appendIntMember(dst, "timestamp", v.Timestamp)
	return append(dst, '}')
}

// readTopic reads a TopicConfig. Missing members have RocketMQ's defaults.
func readTopic(s *scanner, name string) (string, queueData) {
	q := queueData{readQueues: 16, writeQueues: 16, permission: permissionRead | permissionWrite}
	s.object(func(key string) {
		if key != "topicName" {
			q.read(s, key)
		} else if own := s.text(); own != "" {
			name = own
		}
	})
	if len(name) > maxNameBytes {
		s.fail("a topic name has more than 255 bytes")
	}
	return name, q
}

// read reads a member that TopicConfig and QueueData have in common, and skips
// any other.
func (q *queueData) read(s *scanner, member string) {
	switch member {
	case "readQueueNums":
		q.readQueues = int32(s.integer(0, math.MaxInt32, int64(q.readQueues)))
	case "writeQueueNums":
		q.writeQueues = int32(s.integer(0, math.MaxInt32, int64(q.writeQueues)))
	case "perm":
		q.permission = int32(s.integer(0, math.MaxInt32, int64(q.permission)))
	case "topicSysFlag":
		q.systemFlag = int32(s.integer(math.MinInt32, math.MaxInt32, 0))
	default:
		s.skip()
	}
}

// decodeQueues reads the queues by broker name of the TopicRouteData that
// REGISTER_TOPIC_IN_NAMESRV carries.
func decodeQueues(body []byte) (map[string]queueData, error) {
	queues := map[string]queueData{}
	if len(body) == 0 {
		return queues, nil
	}
	s := &scanner{data: body}
	s.object(func(member string) {
		if member != "queueDatas" {
			s.skip()
			return
		}
		s.array(func() {
			var name string
			var q queueData
			s.object(func(key string) {
				if key == "brokerName" {
					name = s.text()
				} else {
					q.read(s, key)
				}
			})
			if queues[name] = q; len(queues) > maxBrokersInBody {
				s.fail("more brokers than " + strconv.Itoa(maxBrokersInBody))
			}
		})
	})
	return queues, s.end()
}

// readCompressed reads the binary form: a zlib stream of length-prefixed
// pieces. What follows the topics is not needed here.
func (r *registration) readCompressed(body []byte) error {
	z, err := zlib.NewReader(strings.NewReader(string(body)))
	if err != nil {
		return fmt.Errorf("compressed body: %w", err)
	}
	in := &pieces{from: io.LimitReader(z, maxUncompressedBytes)}
	version, err := in.next()
	if err != nil {
		return err
	}
	if r.version, err = decodeDataVersion(version); err != nil {
		return err
	}
	count, err := in.number(maxTopicsInBody)
	if err != nil {
		return err
	}
	for range count {
		entry, err := in.next()
		if err != nil {
			return err
		}
		name, q, err := parseTopicLine(string(entry))
		if err != nil {
			return err
		}
		r.add(name, q)
	}
	return z.Close()
}

// pieces reads big-endian lengths and what they announce.
type pieces struct {
	from   io.Reader
	buffer []byte
}

func (p *pieces) number(limit int) (int, error) {
	var b [4]byte
	if _, err := io.ReadFull(p.from, b[:]); err != nil {
		return 0, fmt.Errorf("compressed body is cut off: %w", err)
	}
	n := int(int32(binary.BigEndian.Uint32(b[:])))
	if n < 0 || n > limit {
		return 0, fmt.Errorf("compressed body: %d is not between 0 and %d", n, limit)
	}
	return n, nil
}

// next is the next piece, valid until the one after it.
func (p *pieces) next() ([]byte, error) {
	n, err := p.number(maxEntryBytes)
	if err != nil {
		return nil, err
	}
	if n > cap(p.buffer) {
		p.buffer = make([]byte, n)
	}
	p.buffer = p.buffer[:n]
	if _, err := io.ReadFull(p.from, p.buffer); err != nil {
		return nil, fmt.Errorf("compressed body is cut off: %w", err)
	}
	return p.buffer, nil
}

// parseTopicLine reads "name readQueues writeQueues perm filterType [attributes]".
func parseTopicLine(line string) (string, queueData, error) {
	parts := strings.SplitN(line, " ", 6)
	if len(parts) < 5 || len(parts[0]) > maxNameBytes {
		return "", queueData{}, fmt.Errorf("topic %.64q: want name, read queues, write queues, perm and filter type", line)
	}
	var numbers [3]int32
	for i := range numbers {
		n, err := strconv.ParseInt(parts[i+1], 10, 32)
		if err != nil || n < 0 {
			return "", queueData{}, fmt.Errorf("topic %.64q: %.32q is not a number of its kind", line, parts[i+1])
		}
		numbers[i] = int32(n)
	}
	return parts[0], queueData{readQueues: numbers[0], writeQueues: numbers[1], permission: numbers[2]}, nil
}
