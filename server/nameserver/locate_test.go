package nameserver

import "testing"

func TestTheLatestTermOfABrokerNameOutlivesItsMaster(t *testing.T) {
	t.Parallel()
	tab := newTable(DefaultLimits)
	a := slaveActing(0)
	a.version.StateVersion, a.haAddress = 7, "a:2"
	if _, err := tab.register(a); err != nil {
		t.Fatal(err)
	}
	if m, term := tab.masterNow("c", "b"); m.address != "a:1" || m.haAddress != "a:2" || term != 7 {
		t.Errorf("the master is %+v of term %d", m, term)
	}
	tab.unregister(a.identity)
	if m, term := tab.masterNow("c", "b"); m.address != "" || m.haAddress != "" || term != 7 {
		t.Errorf("without a master: %+v of term %d", m, term)
	}
	slave := slaveActing(1)
	slave.version.StateVersion = 9
	if _, err := tab.register(slave); err != nil {
		t.Fatal(err)
	}
	if _, term := tab.masterNow("c", "b"); term != 7 {
		t.Errorf("a slave's term %d counts as a master's", term)
	}
}

func TestTheMasterIsReadInRocketMQsDialect(t *testing.T) {
	t.Parallel()
	got, err := masterInGroup([]byte(`{"brokerMemberGroup":{"brokerAddrs":{0:"10.0.0.1:10911",1:"10.0.0.2:10911"},"brokerName":"b","cluster":"c"}}`))
	if err != nil || got != "10.0.0.1:10911" {
		t.Errorf("%q, %v", got, err)
	}
	if ha, err := behind(got); err != nil || ha != "10.0.0.1:10912" {
		t.Errorf("slaves of %s connect to %q, %v", got, ha, err)
	}
	for _, wrong := range []string{"x", "h:65535", "h:x"} {
		if ha, err := behind(wrong); err == nil {
			t.Errorf("slaves of %s connect to %s", wrong, ha)
		}
	}
}

func TestANameserverIsAskedForTheMaster(t *testing.T) {
	t.Parallel()
	w, server, _ := start(t, "127.0.0.1:0")
	client := dial(t, server.Addr())
	m, err := Locate(t.Context(), client, "c", "b")
	if err != nil || m != (Master{}) {
		t.Errorf("nobody: %+v, %v", m, err)
	}
	a := slaveActing(0)
	a.version.StateVersion, a.haAddress = 3, "a:9"
	if _, err := w.table.register(a); err != nil {
		t.Fatal(err)
	}
	if m, err = Locate(t.Context(), client, "c", "b"); err != nil || m != (Master{Address: "a:1", HAAddress: "a:9", Term: 3}) {
		t.Errorf("%+v, %v", m, err)
	}
}
