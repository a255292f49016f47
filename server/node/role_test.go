package node

import (
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/server/conf"
	"github.com/apogeemq/apogee/server/remoting"
)

func stockFile(name string) string { return filepath.Join("testdata", "conf", name) }

const someNameserver = "namesrvAddr=127.0.0.1:9876"

func TestTheFilesThatComeWithRocketMQStartABroker(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"broker.conf", "2m-noslave-broker-b.properties"} {
		for _, role := range []Role{ServerRole, BrokerRole} {
			c, err := LoadRole(role, stockFile(name), []string{someNameserver})
			if err != nil {
				t.Fatalf("%s as %s: %v", name, role, err)
			}
			if c.ClusterName != "DefaultCluster" || c.FlushDisk != AsyncFlush || c.runsNameserver() != (role == ServerRole) {
				t.Errorf("%s as %s: %+v", name, role, c)
			}
		}
	}
}

func TestAnOperatorsFileLosesOnlyWhatHasNoMeaningHere(t *testing.T) {
	t.Parallel()
	c, err := LoadRole(BrokerRole, stockFile("operator.conf"), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"mapedFileSizeCommitLog", "sendMessageThreadPoolNums", "storePathCommitLog", "useReentrantLockWhenPutMessage"}
	if !slices.Equal(c.Unknown(), want) {
		t.Errorf("without effect are %q, want %q", c.Unknown(), want)
	}
	if c.BrokerPort != 10921 || c.MessageBytesMax != 65536 || len(c.Nameservers) != 2 || c.StoreDir != "/data/rocketmq/store" || c.AutoCreateTopic {
		t.Errorf("got %+v", c)
	}
}

func TestABrokerAloneNeedsANameserver(t *testing.T) {
	t.Setenv(conf.NameserversVariable, "")
	if _, err := LoadRole(BrokerRole, stockFile("broker.conf"), nil); err == nil || !strings.Contains(err.Error(), "namesrvAddr is missing") {
		t.Errorf("without: %v", err)
	}
	t.Setenv(conf.NameserversVariable, "10.0.0.9:9876;10.0.0.8:9876")
	c, err := LoadRole(BrokerRole, stockFile("broker.conf"), nil)
	if err != nil || !slices.Equal(c.Nameservers, []string{"10.0.0.9:9876", "10.0.0.8:9876"}) {
		t.Errorf("from the environment: %q, %v", c.Nameservers, err)
	}
	if c, err = LoadRole(BrokerRole, stockFile("operator.conf"), nil); err != nil || c.Nameservers[0] != "10.1.2.1:9876" {
		t.Errorf("the file does not win: %q, %v", c.Nameservers, err)
	}
}

func TestANameserversFileHasThePortUnderRocketMQsName(t *testing.T) {
	t.Parallel()
	c, err := LoadRole(NameserverRole, stockFile("namesrv.conf"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.NameserverPort != 9886 || c.AdminPort != 10914 || c.runsBroker() {
		t.Errorf("got %+v", c)
	}
	if _, err := LoadRole(NameserverRole, "", []string{"listenPort=9999", "adminListenPort=9999"}); err == nil {
		t.Error("one port for two listeners is taken")
	}
}

func TestANameserverAloneServesABrokerThatRunsElsewhere(t *testing.T) {
	t.Parallel()
	c, err := LoadRole(NameserverRole, "", []string{"listenPort=0", "adminListenPort=0"})
	if err != nil {
		t.Fatal(err)
	}
	names, _ := up(t, c)
	defer down(t, names)
	address := names.Addresses().Nameserver
	if a := names.Addresses(); a.Broker.IsValid() || a.Fast.IsValid() || !address.IsValid() {
		t.Fatalf("listens on %+v", a)
	}
	c, err = LoadRole(BrokerRole, "", []string{"listenPort=0", "adminListenPort=0", "storePathRootDir=" + t.TempDir(),
		"mappedFileSizeCommitLog=33554432", "readCacheSize=1048576", "namesrvAddr=" + address.String()})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := up(t, c)
	defer down(t, b)
	broker := "127.0.0.1:" + strconv.Itoa(int(b.Addresses().Broker.Port()))
	for deadline := time.Now().Add(patience); ; {
		got := call(t, address, remoting.RequestGetBrokerClusterInfo, "")
		if got.Code == remoting.ResponseSuccess && strings.Contains(string(got.Body), broker) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the nameserver does not know %s: %s", broker, got.Body)
		}
	}
	r, err := http.Get("http://" + names.Addresses().Admin.String() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Errorf("a nameserver that serves is not ready: %s", r.Status)
	}
}
