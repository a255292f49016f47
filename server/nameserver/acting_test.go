package nameserver

import "testing"

func slaveActing(id int64) announcement {
	return announcement{
		identity:     identity{endpoint{"c", string(rune('a'+id)) + ":1"}, "b", id},
		registration: registration{topics: map[string]queueData{"T": {permission: 6}, "U": {permission: 6}}},
		actingMaster: true, knowsActing: true,
	}
}

func permissionOf(t *testing.T, tab *table) int32 {
	t.Helper()
	q, ok := tab.topics["T"]["b"]
	if !ok {
		t.Fatal("topic T has no route")
	}
	return q.permission
}

func TestAMasterThatLeavesTakesTheWritePermissionAlong(t *testing.T) {
	t.Parallel()
	tab := newTable(DefaultLimits)
	for id := range int64(2) {
		if _, err := tab.register(slaveActing(id)); err != nil {
			t.Fatal(err)
		}
	}
	if p := permissionOf(t, tab); p != 6 {
		t.Fatalf("permission %d with a master, want 6", p)
	}
	tab.unregister(slaveActing(0).identity)
	if p := permissionOf(t, tab); p != 4 {
		t.Errorf("permission %d without a master, want 4", p)
	}
}

func TestTheFirstSlaveBringsTopicsReadOnlyWhileThereIsNoMaster(t *testing.T) {
	t.Parallel()
	tab := newTable(DefaultLimits)
	if _, err := tab.register(slaveActing(1)); err != nil {
		t.Fatal(err)
	}
	if p := permissionOf(t, tab); p != 4 {
		t.Errorf("permission %d from a slave alone, want 4", p)
	}
	second := slaveActing(2)
	second.topics = map[string]queueData{"V": {}, "W": {}}
	if _, err := tab.register(second); err != nil {
		t.Fatal(err)
	}
	if _, ok := tab.topics["V"]; ok {
		t.Error("the second slave brought topics")
	}
	if _, err := tab.register(slaveActing(0)); err != nil {
		t.Fatal(err)
	}
	if p := permissionOf(t, tab); p != 6 {
		t.Errorf("permission %d once the master is here, want 6", p)
	}
}

func TestASlaveTooOldToActBringsNoTopics(t *testing.T) {
	t.Parallel()
	tab := newTable(DefaultLimits)
	old := slaveActing(1)
	old.actingMaster, old.knowsActing = false, false
	if _, err := tab.register(old); err != nil {
		t.Fatal(err)
	}
	if len(tab.topics) != 0 {
		t.Errorf("topics %v came from a slave", tab.topics)
	}
}
