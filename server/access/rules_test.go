package access

import (
	"net/netip"
	"strings"
	"testing"
)

// rulesText is a file with everything that a file may have.
const rulesText = `
globalWhiteRemoteAddresses:
  - 10.10.103.*
  - 192.168.0.{1,2}

accounts:
  - accessKey: sendingApp
    secretKey: 12345678
    whiteRemoteAddress:
    admin: false
    defaultTopicPerm: DENY
    defaultGroupPerm: SUB
    topicPerms:
      - orders=PUB
      - invoices=PUB|SUB
      - secret=DENY
    groupPerms:
      - billing=DENY
      - audit=SUB

  - accessKey: operator1
    secretKey: operator-secret
    whiteRemoteAddress: 192.168.7.7
    admin: true

  - accessKey: operator2
    secretKey: operator2-secret
    admin: true
    defaultTopicPerm: SUB
    topicPerms:
      - orders=PUB

dataVersion:
  - counter: 1
    timestamp: 1700000000000
`

func TestWhiteAddressesFollowRocketMQsPatterns(t *testing.T) {
	t.Parallel()
	for pattern, c := range map[string]struct{ in, out string }{
		"192.168.0.1":             {"192.168.0.1 ::ffff:192.168.0.1", "192.168.0.2 10.0.0.1 ::1"},
		"::1":                     {"::1", "127.0.0.1 ::2"},
		"1.1.1.1, 2.2.2.2":        {"1.1.1.1 2.2.2.2", "1.1.1.2"},
		"192.168.0.{1,12}":        {"192.168.0.1 192.168.0.12", "192.168.0.2 192.168.0.112"},
		"192.168.1-9.*":           {"192.168.1.0 192.168.9.255", "192.168.0.1 192.168.10.1 192.169.1.1"},
		"10.*.*.*":                {"10.0.0.0 10.255.255.255", "11.0.0.0 ::a00:1"},
		"10.1.2.3-5":              {"10.1.2.3 10.1.2.5", "10.1.2.2 10.1.2.6"},
		"1050:0:0:0:5:600:300c:1": {"1050::5:600:300c:1", "1050::5:600:300c:2"},
		"1050::5:{10,20}":         {"1050::5:10 1050::5:20", "1050::5:15"},
		"1050:0:0:0:5:600:*:*":    {"1050::5:600:1:2", "1050::5:601:1:2 10.0.0.1"},
		"1050::5:600-700:*":       {"1050::5:650:9", "1050::5:701:9"},
		"*":                       {"1.2.3.4 ::1", ""},
		"*.*.*.*":                 {"1.2.3.4 ::1", ""},
		"*:*:*:*:*:*:*:*":         {"1.2.3.4", ""},
		"":                        {"", "1.2.3.4 ::1"},
	} {
		var a addresses
		if err := a.add(pattern); err != nil {
			t.Errorf("%q: %v", pattern, err)
		}
		for want, list := range map[bool]string{true: c.in, false: c.out} {
			for _, text := range strings.Fields(list) {
				if got := a.contains(netip.MustParseAddr(text).Unmap()); got != want {
					t.Errorf("%q contains %s: %v, want %v", pattern, text, got, want)
				}
			}
		}
	}
}

func TestWhatIsNoAddressPatternIsRefused(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"1.2.3", "1.2.3.4.5", "1.2.3.256", "1.*.3.4", "1.2.5-3.*", "1.2.3.{4", "{1,2}", "1.2.3.{}", "1.2.3.{4-5}",
		"a.b.c.d", "1.2.-.*", "1.2.3.4,", "1::2::3:*", "::1%eth0", "fe80:*", "*.1.2.3", "1.2.3.+4", "10.0.0.0/8", "example.org"} {
		var a addresses
		if err := a.add(pattern); err == nil {
			t.Errorf("%q is accepted: %+v", pattern, a)
		}
	}
}

func TestAFileThatSaysWhatIsNotAllowedIsRefused(t *testing.T) {
	t.Parallel()
	account := "accounts:\n  - accessKey: sendingApp\n    secretKey: 12345678\n"
	for text, want := range map[string]string{
		"":                                  "nobody could do anything",
		"accounts: []":                      "nobody could do anything",
		"accounts: 7":                       "cannot unmarshal",
		"a: [":                              "did not find",
		"globalWhiteRemoteAddresses: [1.2]": "is no address",
		account + "    topicPerm: [a=SUB]":  "topicPerm",
		account + "    topicPerms: [a]":     "form name=permission",
		account + "    topicPerms: [a=ALL]": "use PUB, SUB",
		account + "    topicPerms: [a=PUB, a=SUB]":                            "twice",
		account + "    topicPerms: ['%RETRY%g=SUB']\n    groupPerms: [g=SUB]": "twice",
		account + "    defaultTopicPerm: pub":                                 "defaultTopicPerm",
		account + "    defaultGroupPerm: ANY":                                 "defaultGroupPerm",
		account + "    whiteRemoteAddress: nowhere":                           "whiteRemoteAddress",
		account + "    namespacePerms: []":                                    "namespacePerms",
		account + "    admin: maybe":                                          "cannot unmarshal",
		account + "  - accessKey: sendingApp\n    secretKey: 87654321":        "twice",
		"accounts:\n  - accessKey: short\n    secretKey: 12345678":            "accessKey has 5 bytes",
		"accounts:\n  - accessKey: sendingApp":                                "secretKey has 0 bytes",
		account + strings.Repeat("#", fileBytesMax):                           "bytes, at most",
	} {
		_, err := ParseRules([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q in it", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "12345678") {
			t.Errorf("the error tells a secret key: %v", err)
		}
	}
}

func FuzzParseRules(f *testing.F) {
	f.Add([]byte(rulesText))
	f.Add([]byte("accounts: [{accessKey: *a, secretKey: &a x}]"))
	f.Add([]byte("globalWhiteRemoteAddresses: ['1::*:*', '{', '1.2.3.{4,5}']"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseRules(text)
		if (r == nil) != (err != nil) {
			t.Fatalf("%v, %v", r, err)
		}
		if r != nil {
			r.white.contains(netip.MustParseAddr("1050::5"))
			r.white.contains(netip.MustParseAddr("10.0.0.1"))
		}
	})
}
