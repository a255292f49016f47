package broker

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

// liveSettings are those that administrators may change while the broker runs.
// They hold until the process ends.
type liveSettings struct {
	permission           int
	autoCreateTopic      bool
	autoCreateGroup      bool
	messageBytesMax      int
	offsetCommitInterval time.Duration
}

// liveSetting is one of them: an entry of the list of all that may be changed.
type liveSetting struct {
	key     string
	allowed string // in words
	set     func(s *liveSettings, value string) bool
}

var liveList = []liveSetting{
	liveNumber("brokerPermission", 0, PermissionInherit|PermissionWrite|PermissionRead, func(s *liveSettings, n int) { s.permission = n }),
	liveSwitch("autoCreateTopicEnable", func(s *liveSettings, on bool) { s.autoCreateTopic = on }),
	liveSwitch("autoCreateSubscriptionGroup", func(s *liveSettings, on bool) { s.autoCreateGroup = on }),
	liveNumber("maxMessageSize", 1024, 15<<20, func(s *liveSettings, n int) { s.messageBytesMax = n }),
	liveNumber("offsetCommitIntervalMs", 1, 60_000, func(s *liveSettings, n int) { s.offsetCommitInterval = time.Duration(n) * time.Millisecond }),
}

func liveNumber(key string, low, high int, set func(*liveSettings, int)) liveSetting {
	return liveSetting{key, fmt.Sprintf("%d to %d", low, high), func(s *liveSettings, value string) bool {
		n, err := strconv.Atoi(value)
		if err != nil || n < low || n > high {
			return false
		}
		set(s, n)
		return true
	}}
}

func liveSwitch(key string, set func(*liveSettings, bool)) liveSetting {
	return liveSetting{key, "true or false", func(s *liveSettings, value string) bool {
		if value != "true" && value != "false" {
			return false
		}
		set(s, value == "true")
		return true
	}}
}

// live holds the settings as they are. Reading them takes one atomic load.
type live struct {
	current atomic.Pointer[liveSettings]
	version atomic.Uint64 // counts the changes

	mu      sync.Mutex // of those who change them
	changed map[string]string
}

func newLive(c *Config) *live {
	l := &live{changed: make(map[string]string)}
	l.current.Store(&liveSettings{
		permission: c.Permission, autoCreateTopic: c.AutoCreateTopic, autoCreateGroup: c.AutoCreateGroup,
		messageBytesMax: c.MessageBytesMax, offsetCommitInterval: c.OffsetCommitInterval,
	})
	return l
}

func (l *live) get() *liveSettings { return l.current.Load() }

// change sets all values, or none when one may not be changed or is wrong.
func (l *live) change(values map[string]string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := *l.get()
	for _, key := range slices.Sorted(maps.Keys(values)) {
		at := slices.IndexFunc(liveList, func(s liveSetting) bool { return s.key == key })
		if at < 0 {
			return refuse(remoting.ResponseNoPermission, "%.*s can't be changed while the broker runs; these can: %s",
				groupBytesMax, key, liveKeys())
		}
		if !liveList[at].set(&next, values[key]) {
			return refuse(remoting.ResponseInvalidParameter, "%s=%.*s is not allowed; allowed is %s",
				key, groupBytesMax, values[key], liveList[at].allowed)
		}
	}
	l.current.Store(&next)
	maps.Copy(l.changed, values)
	l.version.Add(1)
	return nil
}

func liveKeys() string {
	keys := make([]string, len(liveList))
	for i := range liveList {
		keys[i] = liveList[i].key
	}
	return strings.Join(keys, ", ")
}

// properties are the lines key=value of the start with what was changed since.
func (l *live) properties(given string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Split(given, "\n")
	for i, line := range lines {
		key, _, _ := strings.Cut(line, "=")
		if value, changed := l.changed[key]; changed {
			lines[i] = key + "=" + value
		}
	}
	return strings.Join(lines, "\n")
}

// Permit changes what clients may do with the whole broker: PermissionRead and
// PermissionWrite bits. Routes show it.
func (b *Broker) Permit(permission int) {
	if err := b.live.change(map[string]string{"brokerPermission": strconv.Itoa(permission)}); err != nil {
		panic("BUG: " + err.Error())
	}
	b.registry.tellChanged()
}

// updateConfig answers UPDATE_BROKER_CONFIG.
func (b *Broker) updateConfig(rt remoting.ReplyTo, cmd *remoting.Command) {
	values, err := readProperties(cmd.Body)
	if err == nil {
		err = b.live.change(values)
	}
	if err != nil {
		b.answerError(rt, err)
		return
	}
	b.config.Logger.Info("an administrator changed settings; they hold until the process ends", "remote", rt.Conn.RemoteAddr(), "settings", values)
	b.registry.tellChanged() // routes show what the broker permits
	answer(rt)
}

// propertyBytesMax bounds the body of UPDATE_BROKER_CONFIG.
const propertyBytesMax = 64 << 10

// readProperties reads lines key=value as mqadmin sends them.
func readProperties(body []byte) (map[string]string, error) {
	if len(body) > propertyBytesMax {
		return nil, refuse(remoting.ResponseInvalidParameter, "the settings have %d bytes, at most %d are allowed", len(body), propertyBytesMax)
	}
	values := make(map[string]string)
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if key = strings.TrimSpace(key); !ok || key == "" {
			return nil, refuse(remoting.ResponseInvalidParameter, "%.*q is not of the form key=value", groupBytesMax, line)
		}
		values[key] = strings.TrimSpace(value)
	}
	return values, nil
}
