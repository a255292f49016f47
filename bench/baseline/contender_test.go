package baseline

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRocketMQKeepsItsDefaultsButForPlaceAndFlush(t *testing.T) {
	t.Parallel()
	got := brokerConfig(place{dir: "/d", port: 21000, flush: SyncFlush}, "127.0.0.1:21001")
	want := `brokerClusterName=baseline
brokerName=baseline-a
brokerId=0
brokerIP1=127.0.0.1
bindAddress=127.0.0.1
listenPort=21011
namesrvAddr=127.0.0.1:21001
storePathRootDir=/d/store
storePathCommitLog=/d/store/commitlog
flushDiskType=SYNC_FLUSH
autoCreateTopicEnable=true
`
	if got != want {
		t.Errorf("got\n%s", got)
	}
	o := &Options{jars: "/jars"}
	if got := strings.Join(o.java("/d", "-server", "Main", "/d/broker.conf"), " "); got != "java -server -Duser.home=/d -Drocketmq.home.dir=/d -cp /jars/* Main -c /d/broker.conf" {
		t.Errorf("java command %q", got)
	}
}

func TestApogeeGetsItsSettingsOnTheCommandLine(t *testing.T) {
	t.Parallel()
	o := &Options{Apogee: "/bin/apogee", ApogeeSettings: []string{"flushMethod=dsync"}}
	got := o.apogeeArguments(o.Apogee, place{dir: "/d", port: 21000, flush: AsyncFlush})
	for _, setting := range []string{"listenPort=21011", "namesrvListenPort=21001", "adminListenPort=21013", "storePathRootDir=/d/store", "flushDiskType=ASYNC_FLUSH", "flushMethod=dsync"} {
		if at := slices.Index(got, setting); at < 1 || got[at-1] != "--set" {
			t.Errorf("%s is not set in %q", setting, got)
		}
	}
	if got[0] != "/bin/apogee" || got[1] != "server" {
		t.Errorf("command %q", got)
	}
}

func TestLoadsAreCommandLines(t *testing.T) {
	t.Parallel()
	names := []string{"pull", "batchsync", "transactions", "delaylevel", "delaytime", "due", "pending"}
	selected, err := selectRows(names)
	if err != nil || len(selected) != len(names) || selected[0].name != "batchsync" {
		t.Fatalf("%+v, %v", selected, err)
	}
	r := runner{options: &Options{Self: "/x/apogee", Rounds: 3, Connections: 4, Heap: "2g", BacklogBytes: 2 << 30, Pending: 5, Settle: 5 * time.Second, Duration: 8 * time.Second, Warmup: time.Second,
		Servers: []string{"floor"}, Rows: names}, rows: selected}
	want := []string{
		"apogee bench baseline --rounds 3 --connections 4 --duration 8s --warmup 1s --settle 5s --heap 2g --backlog-bytes 2147483648 --pending 5 --servers floor --rows pull,batchsync,transactions,delaylevel,delaytime,due,pending",
		"apogee bench send --topic baseline-batchsync --inflight 64 --batch 32 --size 256 --queues 8 --connections 4 --warmup 1s --duration 8s",
		"apogee bench send --topic baseline-pull --inflight 64 --batch 1 --size 1024 --queues 8 --connections 4 --warmup 0s --duration 1m0s --messages 40000",
		"apogee bench pull --topic baseline-pull --consumers 8 --read again --queues 8 --connections 4 --warmup 1s --duration 8s",
		"apogee bench send --topic baseline-transactions --inflight 64 --batch 1 --size 1024 --queues 8 --connections 4 --warmup 1s --duration 8s --kind transactional",
		"apogee bench send --topic baseline-delaylevel --inflight 64 --batch 1 --size 1024 --queues 8 --connections 4 --warmup 1s --duration 8s --kind delayed --delay-level 1",
		"apogee bench send --topic baseline-delaytime --inflight 64 --batch 1 --size 1024 --queues 8 --connections 4 --warmup 1s --duration 8s --kind delayed --deliver-after 1h0m0s",
		"apogee bench due --topic baseline-due --messages 100000 --rate 10000 --queues 8 --connections 4 --warmup 1s --duration 8s",
		"apogee bench send --topic baseline-pending --inflight 256 --batch 1 --size 100 --queues 8 --connections 4 --warmup 0s --duration 1h0m0s --kind delayed --deliver-after 1h0m0s --deliver-spread 24h0m0s --messages 5",
	}
	if got := r.commands(); !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

func TestTheRevisionOfWhatIsNoGoBinaryIsUnknown(t *testing.T) {
	t.Parallel()
	if got := revision(script(t, "exit")); !strings.Contains(got, "unknown") {
		t.Errorf("%q", got)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if got := revision(self); !strings.Contains(got, "revision") || strings.Contains(got, "unknown:") {
		t.Errorf("%q", got)
	}
}
