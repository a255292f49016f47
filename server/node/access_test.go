package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/server/access"
	"github.com/apogeemq/apogee/server/remoting"
)

var operator = access.Credentials{AccessKey: "operator", SecretKey: "operator-secret"}

// accessFile writes a file with an administrator, and what is given.
func accessFile(t *testing.T, more string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plain_acl.yml")
	text := fmt.Sprintf("accounts:\n  - accessKey: %s\n    secretKey: %s\n    admin: true\n%s", operator.AccessKey, operator.SecretKey, more)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// signedCall is call with credentials.
func signedCall(t *testing.T, address netip.AddrPort, who access.Credentials, code int32, fields ...string) *remoting.Command {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err := remoting.Dial(ctx, address.String(), remoting.ClientOptions{Signer: who})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	request := &remoting.Request{Code: code}
	for i := 0; i < len(fields); i += 2 {
		request.Set(fields[i], fields[i+1])
	}
	response, err := client.Call(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func TestWithAccessControlOnlySignedRequestsAreServed(t *testing.T) {
	t.Parallel()
	n, _ := up(t, small(t, t.TempDir(), "aclEnable=true", "aclFile="+accessFile(t, "")))
	defer down(t, n)
	for name, address := range map[string]netip.AddrPort{"broker": n.Addresses().Broker, "nameserver": n.Addresses().Nameserver} {
		code := map[string]int32{"broker": remoting.RequestGetBrokerConfig, "nameserver": remoting.RequestGetBrokerClusterInfo}[name]
		if r := call(t, address, code, ""); r.Code != remoting.ResponseNoPermission || !strings.Contains(string(r.Remark), "accessKey") {
			t.Errorf("%s: an unsigned request is answered with %d, %s", name, r.Code, r.Remark)
		}
		if r := signedCall(t, address, access.Credentials{AccessKey: operator.AccessKey, SecretKey: "another"}, code); r.Code != remoting.ResponseNoPermission {
			t.Errorf("%s: a request with another key's signature is answered with %d, %s", name, r.Code, r.Remark)
		}
		r := signedCall(t, address, operator, code)
		if r.Code != remoting.ResponseSuccess {
			t.Errorf("%s: a signed request is answered with %d, %s", name, r.Code, r.Remark)
		}
		if name == "nameserver" && !strings.Contains(string(r.Body), "broker-a") {
			t.Errorf("the broker is not registered: %s", r.Body)
		}
	}
	if _, text := get(t, n, "/metrics"); !strings.Contains(text, `apogee_access_requests_total{outcome="refused"} 4`) {
		t.Errorf("refusals are not counted:\n%s", text)
	}
}

func TestABrokerRegistersElsewhereWithItsCredentials(t *testing.T) {
	t.Parallel()
	file := accessFile(t, "")
	elsewhere, _ := up(t, small(t, t.TempDir(), "brokerName=broker-b", "aclEnable=true", "aclFile="+file))
	defer down(t, elsewhere)
	c := small(t, t.TempDir(), "namesrvEnable=false", "namesrvAddr="+elsewhere.Addresses().Nameserver.String(),
		`innerClientAuthenticationCredentials={"accessKey":"operator","secretKey":"operator-secret"}`)
	if strings.Contains(c.Properties(), operator.SecretKey) || !strings.Contains(c.Properties(), "innerClientAuthenticationCredentials=******") {
		t.Errorf("whoever may read the configuration may read the secret key:\n%s", c.Properties())
	}
	n, _ := up(t, c)
	defer down(t, n)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.shards[0].registrar.Await(ctx); err != nil {
		t.Fatal(err)
	}
	r := signedCall(t, elsewhere.Addresses().Nameserver, operator, remoting.RequestGetBrokerClusterInfo)
	if !strings.Contains(string(r.Body), "broker-a") {
		t.Errorf("the broker is not registered: %s", r.Body)
	}
}

func TestAccessControlWithoutGoodRulesRefusesToStart(t *testing.T) {
	t.Parallel()
	open := accessFile(t, "globalWhiteRemoteAddresses: ['*']\n")
	for name, c := range map[string]struct {
		pairs []string
		want  string
	}{
		"no file":            {[]string{"aclFile=/nowhere/plain_acl.yml"}, "/nowhere/plain_acl.yml"},
		"open to the public": {[]string{"aclFile=" + open, "bindAddress=0.0.0.0"}, "set allowAnonymous=true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, err := Start(t.Context(), small(t, t.TempDir(), append(c.pairs, "aclEnable=true")...), Options{Log: slog.New(slog.DiscardHandler)})
			if err == nil {
				down(t, n)
				t.Fatal("it starts")
			}
			if text := err.Error(); !strings.Contains(text, "aclEnable=true") || !strings.Contains(text, c.want) {
				t.Errorf("%v, want %q in it", err, c.want)
			}
		})
	}
	n, _ := up(t, small(t, t.TempDir(), "aclEnable=true", "aclFile="+open)) // on loopback that is fine
	defer down(t, n)
	send(t, n, "T", "from a white address")
}

func TestCredentialsThatAreNotAllowedAreNotRepeated(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"geheim", `{"accessKey":"geheim"}`, `["geheim"]`} {
		_, err := Load("", []string{"innerClientAuthenticationCredentials=" + value})
		if err == nil || strings.Contains(err.Error(), "geheim") || !strings.Contains(err.Error(), "accessKey") {
			t.Errorf("%s: %v", value, err)
		}
	}
}

func TestARelativeAccessFileIsBelowRocketMQsFolder(t *testing.T) {
	c := DefaultConfig()
	t.Setenv(homeVariable, "")
	if got := c.accessFile(); got != "conf/plain_acl.yml" {
		t.Errorf("without %s: %s", homeVariable, got)
	}
	t.Setenv(homeVariable, "/opt/rocketmq")
	if got := c.accessFile(); got != "/opt/rocketmq/conf/plain_acl.yml" {
		t.Errorf("with %s: %s", homeVariable, got)
	}
	c.AccessFile = "/etc/plain_acl.yml"
	if got := c.accessFile(); got != c.AccessFile {
		t.Errorf("an absolute path: %s", got)
	}
}
