package replication

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication/logstoretest"
)

var (
	cutSeed  = flag.Uint64("cut.seed", 0, "run this seed alone")
	cutSeeds = flag.Uint64("cut.seeds", 60/seedShare, "how many seeds to run")
)

// seedList is what the flags ask for.
func seedList() []uint64 {
	if *cutSeed != 0 {
		return []uint64{*cutSeed}
	}
	var seeds []uint64
	for seed := uint64(1); seed <= *cutSeeds; seed++ {
		seeds = append(seeds, seed)
	}
	return seeds
}

func replay(test string) func(uint64) string {
	return func(seed uint64) string {
		return fmt.Sprintf("go test ./replication -run '%s' -cut.seed=%d", test, seed)
	}
}

func TestTheLogStoreConforms(t *testing.T) { logstoretest.Run(t, newMachine) }

func TestStoredEntriesSurvivePowerCuts(t *testing.T) {
	logstoretest.RunPowerCuts(t, newMachine, seedList(), replay("TestStoredEntriesSurvivePowerCuts"))
}

var testLog = event.LogID{1, 2, 3}

// capacityBytes of the simulated disk, more than any test needs.
const capacityBytes = 1 << 40

// machine is a computer with a simulated disk.
type machine struct {
	t    *testing.T
	disk *simdisk.Disk
	log  *commitlog.Log
	opts commitlog.Options

	capacity int64 // of the disk when it isn't full

	writes  int
	counted uint64 // steps
}

func newMachine(t *testing.T, seed uint64) logstoretest.Machine {
	return &machine{
		t: t, disk: simdisk.New(seed, simdisk.Options{StaleBytes: seed%3 == 0, CapacityBytes: capacityBytes}), capacity: capacityBytes,
		opts: commitlog.Options{
			SegmentBytes: 96 << 10, TailBytes: 64 << 10, HistoryBytes: 1 << 20,
			Create: commitlog.Creation{Meta: commitlog.Meta{Log: testLog}},
		},
	}
}

func (m *machine) Open() (logstoretest.Store, error) {
	d := m.disk
	m.opts.Disk = d
	m.opts.Fatal = func(err error) {
		if !d.Crashed() {
			m.t.Errorf("fatal with power: %v", err)
		}
	}
	l, _, err := commitlog.Open(m.opts)
	if err != nil {
		return nil, err
	}
	m.log = l
	return NewLogStore(l, commitlog.Durable), nil
}

func (m *machine) Close() error {
	l := m.log
	m.log = nil
	return l.Close()
}

func (m *machine) CutAfter(steps uint64) { m.disk.CrashAfter(steps) }
func (m *machine) Lost() bool            { return m.disk.Crashed() }
func (m *machine) Replay() string        { return m.disk.Replay() }

func (m *machine) Restart() {
	next := m.disk.Crash()
	if m.log != nil {
		_ = m.Close()
	}
	m.disk = next
}

// Trim lets what happens once a second happen, too.
func (m *machine) Trim(through uint64) error {
	m.log.Tick()
	return m.log.Trim(event.Index(through))
}

func (m *machine) CommandBytesMax() int { return 64<<10/4 - 80 }

// Command is one event, its payload made of the number.
func (m *machine) Command(number uint64, bytes int) []byte {
	d := event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: 1, Queue: uint32(number)}
	body := strings.Repeat(fmt.Sprintf("%d.", number), bytes/2+1)
	d.Payload = event.Bytes(body[:max(bytes-d.EncodedBytes(), 0)])
	b := make([]byte, d.EncodedBytes())
	d.Encode(b, testLog.Seed())
	return b
}

// Writes counts writes to segments by the log's queue. The disk remembers its
// last steps only, so what was counted before is kept.
func (m *machine) Writes() int {
	for _, o := range m.disk.Trace() {
		if o.Step > m.counted && o.Kind == "submit queued write" {
			m.writes++
		}
		m.counted = max(m.counted, o.Step)
	}
	return m.writes
}

func TestAConfigurationOfAnotherLogIsCorrupt(t *testing.T) {
	t.Parallel()
	m := newMachine(t, 1).(*machine)
	s, err := m.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer m.log.Close()
	foreign := event.LogID{9}
	if _, err := m.log.Append(commitlog.Batch{Kind: commitlog.FrameConfiguration, Term: 1, Data: foreign[:]}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.log.Append(commitlog.Batch{Kind: commitlog.FrameConfiguration, Term: 1, Data: foreign[:3]}); err != nil {
		t.Fatal(err)
	}
	for index := range uint64(2) {
		var got raft.Log
		if err := s.GetLog(index+1, &got); err == nil || err == raft.ErrLogNotFound {
			t.Errorf("entry %d: %v", index+1, err)
		}
	}
}

func TestACommandThatHoldsNoEventsIsRefused(t *testing.T) {
	t.Parallel()
	m := newMachine(t, 1).(*machine)
	s, err := m.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer m.log.Close()
	whole := m.Command(1, 100)
	for _, data := range [][]byte{nil, {1, 2, 3}, whole[:99], append(whole[:100:100], 0)} {
		if err := s.StoreLog(&raft.Log{Index: 1, Term: 1, Type: raft.LogCommand, Data: data}); err == nil {
			t.Errorf("a command of %d bytes that are no list of events was stored", len(data))
		}
	}
}
