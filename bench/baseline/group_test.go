package baseline

import (
	"context"
	"slices"
	"strings"
	"testing"
)

func TestTheNodesOfAGroupAreToldOfEachOther(t *testing.T) {
	t.Parallel()
	at := place{dir: "/d", port: 21000, flush: SyncFlush}
	peers := "dLegerPeers=n0-127.0.0.1:21015;n1-127.0.0.1:21035;n2-127.0.0.1:21055"
	for number, self := range []string{"dLegerSelfId=n0", "dLegerSelfId=n1", "dLegerSelfId=n2"} {
		got := groupSettings(at, number)
		if !slices.Contains(got, peers) || !slices.Contains(got, self) {
			t.Errorf("node %d: %q", number, got)
		}
	}
	config := brokerConfig(at.node(2), "127.0.0.1:21001", groupSettings(at, 2)...)
	for _, line := range []string{"listenPort=21051", "namesrvAddr=127.0.0.1:21001", "storePathRootDir=/d/n2/store", "enableDLegerCommitLog=true", peers} {
		if !slices.Contains(strings.Split(config, "\n"), line) {
			t.Errorf("%s is missing in\n%s", line, config)
		}
	}
}

func TestGroupsAreMeasuredInRowsAboutReplicasOnly(t *testing.T) {
	t.Parallel()
	group, single := contender{name: Group, sort: replicas}, contender{name: Apogee, sort: broker}
	for _, c := range []struct {
		row           string
		group, single bool
	}{{"sync64", true, true}, {"async64", false, true}, {"start", false, true}, {"pullcold", false, true}} {
		selected, err := selectRows([]string{c.row})
		if err != nil {
			t.Fatal(err)
		}
		if group.takes(&selected[0]) != c.group || single.takes(&selected[0]) != c.single {
			t.Errorf("row %s is measured on a group: %v, on a broker by itself: %v", c.row, group.takes(&selected[0]), single.takes(&selected[0]))
		}
	}
}

// The load goes to the leader, and the leader's is the process that is measured.
func TestTheLoadGoesToTheLeaderOfAGroup(t *testing.T) {
	t.Parallel()
	i := &instance{name: "group", dir: t.TempDir()}
	t.Cleanup(func() { _ = i.close() })
	for _, address := range []string{"127.0.0.1:1", "127.0.0.1:2"} {
		if err := i.add("out", "sleep", "1000"); err != nil {
			t.Fatal(err)
		}
		i.join(address)
	}
	first := i.members["127.0.0.1:1"]
	i.lead("127.0.0.1:1")
	if i.server() != first || i.address != "127.0.0.1:1" || len(i.processes) != 2 {
		t.Errorf("the load goes to %s; the measured process is the leader's: %v", i.address, i.server() == first)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	i.nameserver = "127.0.0.1:1"
	if err := i.findLeader(ctx); err == nil {
		t.Error("a group without a nameserver has a leader")
	}
}

func TestAMessageIDTellsWhoStoredIt(t *testing.T) {
	t.Parallel()
	if got, err := hostOf("7F00000100002A9F0000000000000123"); err != nil || got != "127.0.0.1:10911" {
		t.Errorf("%q, %v", got, err)
	}
	for _, id := range []string{"", "7F0000010000", "not hexadecimal digits, and no id"} {
		if got, err := hostOf(id); err == nil {
			t.Errorf("%q is of %q", id, got)
		}
	}
}

func TestFoldersOfServersHaveNoCommas(t *testing.T) {
	t.Parallel()
	for _, name := range []string{RocketMQ, Gathered, Apogee, Other, DLedger, Group} {
		if got := folder(name + "-" + string(SyncFlush)); strings.ContainsAny(got, ", ") {
			t.Errorf("the folder of %s is %q", name, got)
		}
	}
}
