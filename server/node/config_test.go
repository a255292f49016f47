package node

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/server/conf"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "broker.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnOperatorsBrokerConfIsTakenAsItIs(t *testing.T) {
	t.Parallel()
	c, err := Load(write(t, `
# as it comes with RocketMQ, and then some
brokerClusterName = DefaultCluster
brokerName=broker-b
brokerId = 0
deleteWhen = 04
fileReservedTime = 48
brokerRole = ASYNC_MASTER
flushDiskType = ASYNC_FLUSH
namesrvAddr = 10.0.0.1:9876;ns.example.com:9876; 10.0.0.1:9876
storePathRootDir=/data/${user.home}/caf\u00e9
autoCreateTopicEnable=FALSE
aclEnable=false
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.BrokerName != "broker-b" || c.FlushDisk != AsyncFlush || c.AutoCreateTopic {
		t.Errorf("got %+v", c)
	}
	if want := "/data/${user.home}/café"; c.StoreDir != want {
		t.Errorf("store dir %q, want %q: nothing may be filled in from elsewhere", c.StoreDir, want)
	}
	if want := []string{"10.0.0.1:9876", "ns.example.com:9876"}; !slices.Equal(c.Nameservers, want) {
		t.Errorf("nameservers %q, want %q", c.Nameservers, want)
	}
	if c.KeepTime != 48*time.Hour || !slices.Equal(c.DeleteHours, []int{4}) {
		t.Errorf("keeps %v, deletes at %v", c.KeepTime, c.DeleteHours)
	}
	if len(c.Unknown()) > 0 {
		t.Errorf("unknown keys %q", c.Unknown())
	}
}

func TestTheDefaultsAreSafe(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	if !c.BindAddress.IsLoopback() || !c.AdminBindAddress.IsLoopback() || c.AllowAnonymous {
		t.Errorf("listens on %v and %v, anonymous %v", c.BindAddress, c.AdminBindAddress, c.AllowAnonymous)
	}
	if c.FlushDisk != SyncFlush || c.SegmentBytes != 1<<30 || c.MessageBytesMax != 4<<20 || c.DefaultTopicQueues != 8 ||
		c.BrokerPort != 10911 || c.NameserverPort != 9876 || c.AdminPort != 10913 || c.FlushInterval != 500*time.Millisecond ||
		c.SyncFlushTimeout != 5*time.Second || c.SendQueueTime != 200*time.Millisecond || c.OffsetInterval != 100*time.Millisecond {
		t.Errorf("got %+v", c)
	}
}

func TestPairsWinOverTheFileAndLaterOverEarlier(t *testing.T) {
	t.Parallel()
	c, err := Load(write(t, "brokerName=file\nlistenPort=1000"), []string{"brokerName=first", " brokerName = a=b "})
	if err != nil {
		t.Fatal(err)
	}
	if c.BrokerName != "a=b" || c.BrokerPort != 1000 {
		t.Errorf("broker name %q, port %d", c.BrokerName, c.BrokerPort)
	}
	for _, pair := range []string{"brokerName", "=x", ""} {
		if _, err := Load("", []string{pair}); err == nil || !strings.Contains(err.Error(), "key=value") {
			t.Errorf("pair %q: got %v", pair, err)
		}
	}
}

func TestWrongValuesAreNamedWithKeyValueAndWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for pair, allowed := range map[string]string{
		"flushDiskType=FAST":                 "use SYNC_FLUSH or ASYNC_FLUSH",
		"flushDiskType=sync_flush":           "use SYNC_FLUSH or ASYNC_FLUSH",
		"deleteWhen=24":                      "use hours from 0 to 23 with ; between several",
		"deleteWhen=4;":                      "use hours from 0 to 23 with ; between several",
		"fileReservedTime=0":                 "use 1 to 1000000 (hours)",
		"diskMaxUsedSpaceRatio=5":            "use 10 to 95",
		"commitLogSizeMax=-1":                "use 0 or more",
		"listenPort=65536":                   "use 0 to 65535",
		"listenPort=ten":                     "use 0 to 65535",
		"listenPort=":                        "use 0 to 65535",
		"bindAddress=localhost":              "use an IP address",
		"brokerIP1=0.0.0.0":                  "use an IP address that clients can reach, or nothing",
		"brokerName=":                        "use 1 to 255 characters",
		"traceOn=yes":                        "use true or false",
		"mappedFileSizeCommitLog=1048577":    "use a multiple of 4096 from 1048576 to 4294963200",
		"mappedFileSizeCommitLog=4096":       "use a multiple of 4096 from 1048576 to 4294963200",
		"registerNameServerPeriod=9999":      "use 10000 to 60000 (milliseconds)",
		"shutdownWaitTimeSeconds=0":          "use 1 to 3600 (seconds)",
		"namesrvAddr=ns":                     "use host:port, with ; between several, or nothing",
		"namesrvAddr=:9876":                  "use host:port, with ; between several, or nothing",
		"namesrvAddr=ns:0":                   "use host:port, with ; between several, or nothing",
		"brokerRole=MASTER":                  "use SYNC_MASTER, ASYNC_MASTER or SLAVE",
		"aclEnable=yes":                      "use true or false",
		"authenticationEnabled=true":         "use only false",
		"enableControllerMode=true":          "use only false",
		"dLegerPeers=n0-127.0.0.1":           "use n0-host:port;n1-host:port;… or nothing",
		"dLegerPeers=a-h:1":                  "use n0-host:port;n1-host:port;… or nothing",
		"dLegerPeers=n0-h:1;n0-h:2":          "use n0-host:port;n1-host:port;… or nothing",
		"flushStallMs=0":                     "use 10 to 600000 (milliseconds)",
		"inSyncReplicas=0":                   "use 1 to 16",
		"minInSyncReplicas=2":                "use only 1",
		"logLevel=trace":                     "use debug, info, warn or error",
		"maxMessageSize=99999999999":         "use 1024 to 15728640",
		"waitTimeMillsInSendQueue=-1":        "use 1 to 60000 (milliseconds)",
		"offsetCommitIntervalMs=0":           "use 1 to 60000 (milliseconds)",
		"storePathRootDir=a\x00b":            "use folders with , between several",
		"serverChannelMaxIdleTimeSeconds=1h": "use 1 to 86400 (seconds)",
	} {
		_, err := Load("", []string{pair})
		if want := fmt.Sprintf("configuration: %s is not allowed: %s", pair, allowed); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestAllWrongValuesAreNamedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Load("", []string{"listenPort=x", "flushDiskType=y"})
	if err == nil || !strings.Contains(err.Error(), "listenPort=x") || !strings.Contains(err.Error(), "flushDiskType=y") {
		t.Errorf("got %v", err)
	}
}

func TestValuesThatDontGoTogetherAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pairs []string
		want  string
	}{
		{[]string{"bindAddress=0.0.0.0"}, "bindAddress=0.0.0.0 lets everybody"},
		{[]string{"bindAddress=::"}, "bindAddress=:: lets everybody"},
		{[]string{"bindAddress=10.0.0.5"}, "set aclEnable=true, or set allowAnonymous=true"},
		{[]string{"bindAddress=10.0.0.5", "aclEnable=true"}, ""},
		{[]string{"bindAddress=10.0.0.5", "adminBindAddress=10.0.0.5", "aclEnable=true"}, "adminBindAddress=10.0.0.5 lets everybody"},
		{[]string{"adminBindAddress=10.0.0.5"}, "adminBindAddress=10.0.0.5 lets everybody"},
		{[]string{"bindAddress=10.0.0.5", "adminBindAddress=::", "allowAnonymous=true"}, ""},
		{[]string{"bindAddress=::1"}, ""},
		{[]string{"bindAddress=127.0.0.2"}, ""},
		{[]string{"namesrvEnable=false"}, "no client would find this broker"},
		{[]string{"namesrvEnable=false", "namesrvAddr=ns:9876"}, ""},
		{[]string{"namesrvListenPort=10911"}, "listenPort and namesrvListenPort are both 10911"},
		{[]string{"adminListenPort=10909"}, "adminListenPort and listenPort - 2 are both 10909"},
		{[]string{"namesrvListenPort=10911", "namesrvEnable=false", "namesrvAddr=ns:9876"}, ""},
		{[]string{"listenPort=0", "namesrvListenPort=0", "adminListenPort=0"}, ""},
		{[]string{"enableDLegerCommitLog=true"}, "dLegerSelfId= names none of dLegerPeers"},
		{[]string{"enableDLegerCommitLog=true", "dLegerPeers=n0-127.0.0.1:1;n1-localhost:2", "dLegerSelfId=n2"}, "dLegerSelfId=n2 names none"},
		{[]string{"enableDLegerCommitLog=true", "dLegerPeers=n0-127.0.0.1:1;n1-localhost:2", "dLegerSelfId=n1"}, ""},
		{[]string{"enableDLegerCommitLog=true", "dLegerPeers=n0-127.0.0.1:1;n1-10.0.0.2:2", "dLegerSelfId=n0"}, "set clusterSecret or clusterTls"},
		{[]string{"enableDLegerCommitLog=true", "dLegerPeers=n0-127.0.0.1:1;n1-my-host.example:2", "dLegerSelfId=n0", "clusterSecret=0123456789abcdef"}, ""},
		{[]string{"enableDLegerCommitLog=true", "dLegerPeers=n0-10.0.0.2:1", "dLegerSelfId=n0", "clusterTls=true"}, "clusterTls=true needs"},
		{[]string{"dLegerPeers=n1-10.0.0.2:2"}, ""},
		{[]string{"mappedFileSizeCommitLog=1048576"}, "too small for maxMessageSize=4194304: use at least 21692416"},
		{[]string{"mappedFileSizeCommitLog=1048576", "maxMessageSize=65536"}, ""},
		{[]string{"mappedFileSizeCommitLog=67108864", "maxMessageSize=15728640"}, "too small for maxMessageSize=15728640: use at least 79364096"},
	} {
		_, err := Load("", c.pairs)
		if c.want == "" && err != nil {
			t.Errorf("%v: got %v, want no error", c.pairs, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v: got %v, want %q", c.pairs, err, c.want)
		}
	}
}

func TestFilesThatCantBeReadAreNamed(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing.conf")
	if _, err := Load(missing, nil); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("missing file: got %v", err)
	}
	large := write(t, strings.Repeat("#", conf.BytesMax+1))
	if _, err := Load(large, nil); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("large file: got %v", err)
	}
	broken := write(t, `brokerName=\u12`)
	if _, err := Load(broken, nil); err == nil || !strings.Contains(err.Error(), broken) {
		t.Errorf("broken file: got %v", err)
	}
}

func TestKeysStandInTheTableOnce(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range settings {
		if seen[s.Name] {
			t.Errorf("%s stands in the table twice", s.Name)
		}
		seen[s.Name] = true
		if !strings.HasSuffix(s.Doc, ".") || s.Allowed == "" {
			t.Errorf("%s: the documentation must be sentences: %q, allowed %q", s.Name, s.Doc, s.Allowed)
		}
	}
}

var updateSettings = flag.Bool("update-settings", false, "write the tables of settings into docs/OPERATIONS.md")

func TestTheOperationsGuideHasTheTables(t *testing.T) {
	t.Parallel()
	const path = "../../docs/OPERATIONS.md"
	guide, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(guide)
	for _, role := range []Role{ServerRole, NameserverRole} {
		begin, end := fmt.Sprintf("<!-- settings of %s: begin -->\n", role), fmt.Sprintf("<!-- settings of %s: end -->", role)
		before, rest, ok1 := strings.Cut(text, begin)
		table, after, ok2 := strings.Cut(rest, end)
		if !ok1 || !ok2 {
			t.Fatalf("%s has no %q with a %q after it", path, strings.TrimSpace(begin), end)
		}
		if table != SettingsTable(role) && !*updateSettings {
			t.Errorf("%s doesn't have what `apogee config --role %s` prints: go test ./server/node -run OperationsGuide -update-settings", path, role)
		}
		text = before + begin + SettingsTable(role) + end + after
	}
	if *updateSettings {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzLoad: no file makes the parser panic, and what it takes holds the
// promises that the rest of the process relies on.
func FuzzLoad(f *testing.F) {
	f.Add([]byte("brokerName=a\nlistenPort=1\nbindAddress = 0.0.0.0\nallowAnonymous:true"))
	f.Add([]byte("namesrvAddr=[::1]:9876;a:1\\\n  ;b:2"))
	f.Add([]byte("a=${a}\n\\u0041=1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		values, err := conf.Parse(text)
		if err != nil {
			return
		}
		c, err := parse(ServerRole, values)
		if err != nil {
			return
		}
		if !c.BindAddress.IsLoopback() && !c.AllowAnonymous {
			t.Errorf("listens on %v for everybody without leave", c.BindAddress)
		}
		if c.BrokerName == "" || c.StoreDir == "" || c.ShutdownTime <= 0 || c.SegmentBytes < 4*int64(c.MessageBytesMax) {
			t.Errorf("took %+v", c)
		}
	})
}
