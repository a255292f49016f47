package nameserver

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeysAndValuesSurviveARestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "names", "kvConfig.json")
	kv, err := openKeyValues(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, put := range [][3]string{{orderTopics, "T", "broker-a:4"}, {"n", "k", `ä "quoted" \ 😀`}, {"n", "gone", "1"}} {
		if err := kv.put(put[0], put[1], put[2]); err != nil {
			t.Fatal(err)
		}
	}
	if err := kv.remove("n", "gone"); err != nil {
		t.Fatal(err)
	}
	again, err := openKeyValues(path)
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := again.get("n", "k"); !ok || v != `ä "quoted" \ 😀` {
		t.Errorf("got %q, %v", v, ok)
	}
	if v, _ := again.get(orderTopics, "T"); v != "broker-a:4" {
		t.Errorf("order of T is %q", v)
	}
	if _, ok := again.get("n", "gone"); ok || again.size() != 2 {
		t.Errorf("%d keys, a deleted one is there: %v", again.size(), ok)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("files beside it: %v, %v", entries, err)
	}
}

func TestTheFileOfRocketMQIsRead(t *testing.T) {
	t.Parallel()
	// As its namesrv writes it, pretty-printed.
	table, err := decodeNamespaces([]byte("{\n\t\"configTable\":{\"ORDER_TOPIC_CONFIG\":{\"T\":\"broker-a:4;broker-b:4\"\n\t\t},\"empty\":{}\n\t}\n}"))
	if err != nil || !maps.Equal(table[orderTopics], map[string]string{"T": "broker-a:4;broker-b:4"}) {
		t.Errorf("got %v, %v", table, err)
	}
}

func TestAFileThatCannotBeReadEndsTheStartAndStays(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kvConfig.json")
	const damaged = `{"configTable":{"n":{"k":`
	if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{KeyValuePath: path, Log: quiet}); !errors.Is(err, errSyntax) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != damaged {
		t.Errorf("the file is now %q, %v", text, err)
	}
}

func TestWhatCannotBeWrittenIsNotKept(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	kv := &keyValues{path: filepath.Join(file, "kvConfig.json")}
	kv.current.Store(&namespaces{})
	if err := kv.put("n", "k", "v"); err == nil {
		t.Fatal("a file inside of a file was written")
	}
	if _, ok := kv.get("n", "k"); ok {
		t.Error("the value is there although its writing failed")
	}
}

func TestKeysAndValuesAreBounded(t *testing.T) {
	t.Parallel()
	kv, err := openKeyValues("")
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", maxNameBytes+1)
	for _, put := range [][3]string{{"", "k", "v"}, {long, "k", "v"}, {"n", "", "v"}, {"n", long, "v"}, {"n", "k", strings.Repeat("v", maxValueBytes+1)}} {
		if err := kv.put(put[0], put[1], put[2]); !errors.Is(err, errKeyValue) {
			t.Errorf("namespace of %d bytes, key of %d, value of %d: %v", len(put[0]), len(put[1]), len(put[2]), err)
		}
	}
	value, stored := strings.Repeat("v", maxValueBytes), 0
	for kv.put("n", strings.Repeat("k", stored+1), value) == nil {
		stored++
	}
	if stored == 0 || stored > maxKeyValueBytes/maxValueBytes || kv.size() != stored {
		t.Errorf("%d values of %d bytes are kept, %d counted", stored, maxValueBytes, kv.size())
	}
}

func FuzzDecodeNamespaces(f *testing.F) {
	f.Add([]byte(`{"configTable":{"ORDER_TOPIC_CONFIG":{"T":"broker-a:4"},"n":{"k":"1"}}}`))
	f.Add([]byte(`{"configTable":{"n":{1:2,"k":null}}}`))
	f.Add([]byte(`{"configTable":null,"other":[{}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		table, err := decodeNamespaces(text)
		if err != nil {
			return
		}
		again, err := decodeNamespaces(table.append(nil))
		if err != nil || !sameKeys(table, again) {
			t.Errorf("%q reads as %v, then as %v, %v", text, table, again, err)
		}
	})
}

// sameKeys compares keys; bytes that are no text become U+FFFD in values.
func sameKeys(a, b namespaces) bool {
	for namespace, inside := range a {
		for key := range inside {
			if _, ok := b[namespace][key]; !ok && strings.ToValidUTF8(namespace+key, "") == namespace+key {
				return false
			}
		}
	}
	return true
}
