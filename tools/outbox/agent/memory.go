package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	memoryFile = "cluster.json"
	savePause  = 200 * time.Millisecond
	savePeriod = 10 * time.Second
)

// remembered is what the agent knows of the cluster, as it stands in a file: so
// that it can be started while nobody tells, and is found at the same ports.
type remembered struct {
	Own    int               `json:"ownPort"`
	Doors  []rememberedDoor  `json:"brokers"`
	Routes map[string]string `json:"routes"` // as nameservers wrote them, by topic
}

type rememberedDoor struct {
	Broker  string `json:"name"`
	Address string `json:"address"`
	Port    int    `json:"port"`
}

// memory writes it down when it has changed.
type memory struct {
	agent *Agent
	wake  chan struct{}
	saved sync.Mutex
}

func newMemory(a *Agent) *memory { return &memory{agent: a, wake: make(chan struct{}, 1)} }

func (m *memory) changed() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *memory) path() string { return filepath.Join(m.agent.config.Dir, memoryFile) }

// load reads the file. One that can't be read counts as none: nothing of it is
// needed that clients' next questions don't bring back.
func (m *memory) load() (r remembered) {
	b, err := os.ReadFile(m.path())
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		m.agent.log.Warn("what was known of the cluster can't be read and counts as unknown", "file", m.path(), "cause", err)
		return remembered{}
	}
	return r
}

// run saves what has changed until the agent stops, and at the end.
func (m *memory) run(stop <-chan struct{}) {
	for {
		select {
		case <-m.wake:
		case <-stop:
			m.saveAndTell()
			return
		}
		timer := time.NewTimer(savePause) // routes of many topics come together
		select {
		case <-timer.C:
		case <-stop:
			timer.Stop()
		}
		m.saveAndTell()
	}
}

func (m *memory) saveAndTell() {
	if err := m.save(); err != nil {
		m.agent.log.Warn("what is known of the cluster can't be written down: after a restart without nameservers the outbox wouldn't know it", "cause", err)
		time.AfterFunc(savePeriod, m.changed)
	}
}

func (m *memory) save() error {
	m.saved.Lock()
	defer m.saved.Unlock()
	a := m.agent
	r := remembered{Own: a.own.port(), Routes: map[string]string{}}
	for _, d := range a.allDoors() {
		r.Doors = append(r.Doors, rememberedDoor{d.broker, d.address, d.port()})
	}
	a.routes.mu.RLock()
	for topic, k := range a.routes.topics {
		r.Routes[topic] = string(k.body)
	}
	a.routes.mu.RUnlock()
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	next := m.path() + ".next"
	if err := writeSynced(next, b); err != nil {
		return fmt.Errorf("write %s: %w", next, err)
	}
	return os.Rename(next, m.path())
}

func writeSynced(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}
