package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/apogeemq/apogee/bench/process"
	"github.com/apogeemq/apogee/server/remoting"
)

const (
	topic     = "bench-outbox"
	queues    = 64
	startTime = 30 * time.Second
	drainTime = 10 * time.Minute
	ticksEach = 100 // of CPU time in a second, as Linux shows it
)

// scene is a server, an agent before it, and where both are found.
type scene struct {
	binary, dir                   string
	ports                         []int // nameserver, broker, two of admins, the agent
	server, agent                 *process.Process
	direct, through, agentAddress string
}

func startScene(ctx context.Context, binary, dir string) (*scene, error) {
	s := &scene{binary: binary, dir: dir}
	for range 5 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all are taken before one is given back
		s.ports = append(s.ports, l.Addr().(*net.TCPAddr).Port)
		if err := l.Close(); err != nil {
			return nil, err
		}
	}
	s.direct, s.agentAddress = s.address(1), s.address(4)
	err := s.startServer(ctx)
	if err == nil {
		err = s.createTopic(ctx)
	}
	if err == nil {
		s.agent, err = process.Start(dir, "agent.log", nil, binary, "outbox", "--set", "namesrvAddr="+s.address(0),
			"--set", fmt.Sprint("listenPort=", s.ports[4]), "--set", fmt.Sprint("adminListenPort=", s.ports[3]), "--set", "storePathRootDir="+filepath.Join(dir, "spool"))
	}
	if err == nil {
		err = s.findDoor(ctx)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *scene) address(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.ports[port]))
}

func (s *scene) startServer(ctx context.Context) (err error) {
	s.server, err = process.Start(s.dir, "server.log", nil, s.binary, "server", "--set", "storePathRootDir="+filepath.Join(s.dir, "server"),
		"--set", fmt.Sprint("namesrvListenPort=", s.ports[0]), "--set", fmt.Sprint("listenPort=", s.ports[1]), "--set", fmt.Sprint("adminListenPort=", s.ports[2]))
	if err != nil {
		return err
	}
	return until(ctx, "the server to be ready", startTime, func() error {
		_, err := get(ctx, s.address(2), "/readyz")
		return err
	})
}

func (s *scene) close() {
	for _, p := range []*process.Process{s.agent, s.server} {
		if p != nil {
			_ = p.Kill()
		}
	}
}

// until tries until it works.
func until(ctx context.Context, what string, longest time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, err)
		}
	}
}

func get(ctx context.Context, address, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(response.Body); err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", path, response.Status)
	}
	return b.Bytes(), nil
}

func call(ctx context.Context, address string, code int32, fields ...string) (*remoting.Command, error) {
	c, err := remoting.Dial(ctx, address, remoting.ClientOptions{})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r := &remoting.Request{Code: code}
	for i := 0; i+1 < len(fields); i += 2 {
		r.Set(fields[i], fields[i+1])
	}
	got, err := c.Call(ctx, r)
	if err == nil && got.Code != remoting.ResponseSuccess {
		err = fmt.Errorf("%v answers %d: %s", c.Conn().RemoteAddr(), got.Code, got.Remark)
	}
	return got, err
}

func (s *scene) createTopic(ctx context.Context) error {
	_, err := call(ctx, s.direct, remoting.RequestUpdateAndCreateTopic, "topic", topic, "defaultTopic", "TBW102", "readQueueNums", strconv.Itoa(queues),
		"writeQueueNums", strconv.Itoa(queues), "perm", "6", "topicFilterType", "SINGLE_TAG", "topicSysFlag", "0", "order", "false")
	return err
}

// findDoor learns by which port the agent leads to the broker.
func (s *scene) findDoor(ctx context.Context) error {
	return until(ctx, "the agent to know the topic", startTime, func() error {
		got, err := call(ctx, s.agentAddress, remoting.RequestGetRouteInfoByTopic, "topic", topic, "acceptStandardJsonOnly", "true")
		if err != nil {
			return err
		}
		var route struct {
			Brokers []struct {
				Name      string            `json:"brokerName"`
				Addresses map[string]string `json:"brokerAddrs"`
			} `json:"brokerDatas"`
		}
		if err := json.Unmarshal(got.Body, &route); err != nil {
			return err
		}
		if len(route.Brokers) != 1 || route.Brokers[0].Name == "outbox" {
			return errors.New("its route isn't the cluster's yet")
		}
		s.through = route.Brokers[0].Addresses["0"]
		return nil
	})
}

func (s *scene) waiting(ctx context.Context) (int, error) {
	b, err := get(ctx, s.address(3), "/outbox/stats")
	if err != nil {
		return 0, err
	}
	var stats struct{ Messages int }
	err = json.Unmarshal(b, &stats)
	return stats.Messages, err
}

// drain brings the server back and waits until less waits than all, and then
// until nothing does. The agent notices the server's return within 2 s.
func (s *scene) drain(ctx context.Context, all int) (noticed, took time.Duration, err error) {
	if err := s.startServer(ctx); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	atMost := func(most int) error {
		return until(ctx, "the agent to send on what waits", drainTime, func() error {
			n, err := s.waiting(ctx)
			if err == nil && n > most {
				err = fmt.Errorf("%d messages wait", n)
			}
			return err
		})
	}
	if err := atMost(all - 1); err != nil {
		return 0, 0, err
	}
	noticed = time.Since(began)
	err = atMost(0)
	return noticed, time.Since(began) - noticed, err
}

// row is what a load has measured.
type row struct {
	count         int
	took          time.Duration
	median        time.Duration
	server, agent time.Duration // CPU
}

func (r row) rate() float64             { return float64(r.count) / r.took.Seconds() }
func (r row) serverEach() time.Duration { return r.server / time.Duration(max(r.count, 1)) }
func (r row) agentEach() time.Duration  { return r.agent / time.Duration(max(r.count, 1)) }

// shape is how many connections send, and how many messages each has in flight.
type shape struct{ connections, inFlight int }

// load sends. Each of a shape's senders sends one message after the other, and
// those of a connection to a queue of its own.
func (s *scene) load(ctx context.Context, address string, sh shape, length time.Duration, body []byte) (row, error) {
	ctx, cancel := context.WithTimeout(ctx, length+startTime)
	defer cancel()
	server, agent := cpuTime(s.server), cpuTime(s.agent)
	began := time.Now()
	senders := sh.connections * sh.inFlight
	times := make([][]time.Duration, senders)
	failures := make([]error, senders)
	var sending sync.WaitGroup
	for i := range sh.connections {
		c, err := remoting.Dial(ctx, address, remoting.ClientOptions{})
		if err != nil {
			return row{}, err
		}
		defer c.Close()
		for j := i * sh.inFlight; j < (i+1)*sh.inFlight; j++ {
			sending.Go(func() { times[j], failures[j] = send(ctx, c, i, began.Add(length), body) })
		}
	}
	sending.Wait()
	r := row{took: time.Since(began), server: cpuTime(s.server) - server, agent: cpuTime(s.agent) - agent}
	all := slices.Concat(times...)
	r.count = len(all)
	if len(all) > 0 {
		slices.Sort(all)
		r.median = all[len(all)/2]
	}
	return r, errors.Join(failures...)
}

func send(ctx context.Context, c *remoting.Client, queue int, end time.Time, body []byte) (times []time.Duration, err error) {
	r := &remoting.Request{Code: remoting.RequestSendMessageV2, Body: body}
	for _, f := range [][2]string{{"a", "bench"}, {"b", topic}, {"c", "TBW102"}, {"d", "4"}, {"e", strconv.Itoa(queue)}, {"f", "0"},
		{"g", strconv.FormatInt(time.Now().UnixMilli(), 10)}, {"h", "0"}, {"i", "UNIQ_KEY\x017F0000010001000000000000\x02"}, {"j", "0"}, {"m", "false"}} {
		r.Set(f[0], f[1])
	}
	for now := time.Now(); now.Before(end); {
		got, err := c.Call(ctx, r)
		if err != nil {
			return times, err
		}
		if got.Code != remoting.ResponseSuccess {
			return times, fmt.Errorf("%v answers %d: %s", c.Conn().RemoteAddr(), got.Code, got.Remark)
		}
		next := time.Now()
		times = append(times, next.Sub(now))
		now = next
	}
	return times, nil
}

// cpuTime is what a process has used, 0 where the system doesn't tell.
func cpuTime(p *process.Process) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(string(fields[11]))
	system, _ := strconv.Atoi(string(fields[12]))
	return time.Duration(user+system) * time.Second / ticksEach
}
