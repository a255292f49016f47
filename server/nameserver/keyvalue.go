package nameserver

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Limits of the key-value configuration.
const (
	maxValueBytes        = 64 << 10
	maxKeyValueBytes     = 4 << 20 // names, keys and values together
	maxKeyValueFileBytes = 32 << 20
)

// orderTopics is the namespace in which administrators say how many queues of
// an ordered topic each broker has: topic → "broker-a:4;broker-b:4".
const orderTopics = "ORDER_TOPIC_CONFIG"

// errKeyValue: a name, key or value can't be kept as it is.
var errKeyValue = errors.New("key-value configuration")

// namespaces are all keys and values. They are never changed in place.
type namespaces map[string]map[string]string

// keyValues keeps what operators store at a nameserver. Readers never wait for
// the disk.
type keyValues struct {
	current atomic.Pointer[namespaces]
	path    string // "" for nowhere

	mu sync.Mutex // held by whoever changes current and the file
}

// openKeyValues reads the file if there is one. With path "" nothing is kept
// on disk.
func openKeyValues(path string) (*keyValues, error) {
	kv := &keyValues{path: path}
	kv.current.Store(&namespaces{})
	if path == "" {
		return kv, nil
	}
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return kv, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read key-value configuration: %w", err)
	}
	if info.Size() > maxKeyValueFileBytes {
		return nil, fmt.Errorf("read key-value configuration %s: it has %d bytes, at most %d are allowed", path, info.Size(), maxKeyValueFileBytes)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key-value configuration: %w", err)
	}
	table, err := decodeNamespaces(text)
	if err != nil {
		return nil, fmt.Errorf("read key-value configuration %s: %w; repair the file or remove it", path, err)
	}
	kv.current.Store(&table)
	return kv, nil
}

// decodeNamespaces reads RocketMQ's kvConfig.json, its KVConfigSerializeWrapper.
func decodeNamespaces(text []byte) (namespaces, error) {
	table := namespaces{}
	s := &scanner{data: text}
	s.object(func(member string) {
		if member != "configTable" {
			s.skip()
			return
		}
		s.object(func(namespace string) {
			inside := map[string]string{}
			s.object(func(key string) { inside[key] = s.scalar() })
			table[namespace] = inside
		})
	})
	if err := s.end(); err != nil {
		return nil, err
	}
	return table, table.check()
}

// check refuses what is not allowed to be kept.
func (n namespaces) check() error {
	total := 0
	for namespace, inside := range n {
		for key, value := range inside {
			switch {
			case namespace == "" || len(namespace) > maxNameBytes:
				return fmt.Errorf("%w: namespace %.64q must have 1 to %d bytes", errKeyValue, namespace, maxNameBytes)
			case key == "" || len(key) > maxNameBytes:
				return fmt.Errorf("%w: key %.64q must have 1 to %d bytes", errKeyValue, key, maxNameBytes)
			case len(value) > maxValueBytes:
				return fmt.Errorf("%w: the value of %.64q has %d bytes, at most %d are allowed", errKeyValue, key, len(value), maxValueBytes)
			}
			total += len(namespace) + len(key) + len(value)
		}
	}
	if total > maxKeyValueBytes {
		return fmt.Errorf("%w: it would have %d bytes, at most %d are allowed; delete keys first", errKeyValue, total, maxKeyValueBytes)
	}
	return nil
}

func (n namespaces) append(dst []byte) []byte {
	dst = append(dst, '{')
	dst = append(standard.appendMember(dst, "configTable"), '{')
	for _, namespace := range slices.Sorted(maps.Keys(n)) {
		dst = appendTextMap(standard.appendMember(dst, namespace), n[namespace], standard)
	}
	return append(dst, '}', '}')
}

// appendTextMap writes a map from text to text.
func appendTextMap(dst []byte, texts map[string]string, d dialect) []byte {
	dst = append(dst, '{')
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		dst = d.appendTextMember(dst, key, texts[key])
	}
	return append(dst, '}')
}

func (kv *keyValues) get(namespace, key string) (string, bool) {
	value, ok := (*kv.current.Load())[namespace][key]
	return value, ok
}

// namespace is everything in one namespace, not to be changed. RocketMQ keeps
// namespaces that have become empty; here they are gone.
func (kv *keyValues) namespace(name string) (map[string]string, bool) {
	inside, ok := (*kv.current.Load())[name]
	return inside, ok
}

// size counts the keys.
func (kv *keyValues) size() int {
	count := 0
	for _, inside := range *kv.current.Load() {
		count += len(inside)
	}
	return count
}

// put stores a value. After an error everything is as before.
func (kv *keyValues) put(namespace, key, value string) error {
	return kv.change(namespace, func(inside map[string]string) { inside[strings.Clone(key)] = strings.Clone(value) })
}

// remove forgets a key; one that isn't there is no error.
func (kv *keyValues) remove(namespace, key string) error {
	if _, ok := kv.get(namespace, key); !ok {
		return nil
	}
	return kv.change(namespace, func(inside map[string]string) { delete(inside, key) })
}

// change makes a table with one namespace changed, writes it and puts it in
// the place of the old one.
func (kv *keyValues) change(namespace string, edit func(map[string]string)) error {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	table := maps.Clone(*kv.current.Load())
	inside := maps.Clone(table[namespace])
	if inside == nil {
		inside = map[string]string{}
	}
	edit(inside)
	if table[strings.Clone(namespace)] = inside; len(inside) == 0 {
		delete(table, namespace)
	}
	if err := table.check(); err != nil {
		return err
	}
	if kv.path != "" {
		if err := replaceFile(kv.path, table.append(nil)); err != nil {
			return fmt.Errorf("write key-value configuration: %w; nothing was changed", err)
		}
	}
	kv.current.Store(&table)
	return nil
}

// replaceFile puts a synced file with these contents in the place of path, so
// that a crash leaves the old or the new one.
func replaceFile(path string, contents []byte) (err error) {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	next, err := os.CreateTemp(folder, filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(next.Name())
		}
	}()
	_, err = next.Write(contents)
	if err = errors.Join(err, next.Sync(), next.Close()); err != nil {
		return err
	}
	if err := os.Rename(next.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
