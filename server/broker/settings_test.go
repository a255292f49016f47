package broker

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/topic"
)

func TestTopicSettingsSurviveTheEnginesForm(t *testing.T) {
	t.Parallel()
	for _, s := range []TopicSettings{
		{Name: "T", ReadQueues: 1, WriteQueues: 2, Permission: 6, FilterType: "SINGLE_TAG"},
		{Name: "T", Permission: 0, Ordered: true, SystemFlag: 3, FilterType: "MULTI_TAG",
			Attributes: map[string]string{"message.type": "FIFO", "perm": "not ours"}},
	} {
		config := s.Config()
		if err := config.Validate(); err != nil {
			t.Fatal(err)
		}
		decoded, err := event.DecodeTopicConfig(event.AppendTopicConfig(nil, config))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, settingsOf(topic.Topic{Config: decoded}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("settings (-want +got):\n%s", diff)
		}
	}
}

func TestUnreadableTopicAttributesHaveTheirDefaults(t *testing.T) {
	t.Parallel()
	config := event.TopicConfig{Name: "T", Attributes: []event.Attribute{{Key: "perm", Value: "x"}, {Key: "topicSysFlag", Value: "x"}}}
	got := settingsOf(topic.Topic{Config: config})
	if got.Permission != 6 || got.SystemFlag != 0 {
		t.Errorf("settings %+v", got)
	}
}

func TestIllegalConfigurationIsRefusedWithItsName(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Config){
		"BatchMessages": func(c *Config) { c.Limits.BatchMessages = 0 },
		"cluster name":  func(c *Config) { c.ClusterName = "" },
		"address":       func(c *Config) { c.Address = netip.AddrPortFrom(netip.IPv4Unspecified(), 10911) },
		"clock":         func(c *Config) { c.Clock = nil },
	} {
		c := testConfig()
		change(&c)
		if _, err := New(c, newFakeLog().dependencies()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one about %s", err, want)
		}
	}
	if _, err := New(testConfig(), Dependencies{}); err == nil {
		t.Error("a broker without a log was started")
	}
}

func TestTopicNamesAreCheckedAsRocketMQDoes(t *testing.T) {
	t.Parallel()
	for name, legal := range map[string]bool{
		"T": true, "a-b_C%|9": true, strings.Repeat("t", 127): true, strings.Repeat("t", 128): false, "": false, "a b": false, "ä": false, "a+b": false,
		"%RETRY%" + strings.Repeat("g", 248): true, "%RETRY%" + strings.Repeat("g", 249): false, "%DLQ%" + strings.Repeat("g", 250): true,
	} {
		if err := checkTopicName([]byte(name)); (err == nil) != legal {
			t.Errorf("%q: %v, want legal: %t", name, err, legal)
		}
	}
}
