package certificate

import (
	"crypto/tls"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func newServer(t testing.TB, o ServerOptions) *Server {
	t.Helper()
	o.Log = quiet
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newClient(t testing.TB, f Files) *tls.Config {
	t.Helper()
	c, err := NewClient(f)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhoIsLetIn(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	server, member, stranger, nobody := ours.issue("server"), newClient(t, ours.issue("member")), newClient(t, theirs.issue("stranger")), newClient(t, Files{})
	member.RootCAs, stranger.InsecureSkipVerify = newClient(t, ours.issue("x")).RootCAs, true
	for _, c := range []struct {
		auth                     ClientAuth
		verify                   bool
		nobody, stranger, member bool
	}{
		{"", true, true, true, true},
		{ClientAuthNone, false, true, true, true},
		{ClientAuthOptional, false, true, true, true},
		{ClientAuthOptional, true, true, false, true},
		{ClientAuthRequire, false, false, true, true},
		{ClientAuthRequire, true, false, false, true},
	} {
		server.VerifyPeer = c.verify
		config := newServer(t, ServerOptions{Files: server, ClientAuth: c.auth}).Config()
		for _, client := range []struct {
			name   string
			config *tls.Config
			in     bool
		}{{"nobody", nobody, c.nobody}, {"stranger", stranger, c.stranger}, {"member", member, c.member}} {
			m := meet(t, config, client.config)
			if in := m.server == nil && m.client == nil; in != client.in {
				t.Errorf("%q, verify %v, %s: let in %v (%v, %v)", c.auth, c.verify, client.name, in, m.server, m.client)
			}
		}
	}
}

func TestClientsThatVerifyRefuseOtherServers(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	client := ours.issue("client")
	for _, c := range []struct {
		verify  bool
		server  Files
		success bool
	}{{true, ours.issue("ours"), true}, {true, theirs.issue("theirs"), false}, {false, theirs.issue("theirs"), true}} {
		client.VerifyPeer = c.verify
		m := meet(t, newServer(t, ServerOptions{Files: c.server}).Config(), newClient(t, client))
		if (m.client == nil) != c.success {
			t.Errorf("verify %v: %v", c.verify, m.client)
		}
	}
}

func TestASelfSignedServerShowsTheSameCertificateEachTime(t *testing.T) {
	t.Parallel()
	config := newServer(t, ServerOptions{SelfSigned: true}).Config()
	client := newClient(t, Files{})
	var shown [2][]byte
	for i := range shown {
		c := client.Clone()
		c.VerifyConnection = func(s tls.ConnectionState) error {
			shown[i] = s.PeerCertificates[0].Raw
			return nil
		}
		if m := meet(t, config, c); m.client != nil || m.name != "apogee self-signed" {
			t.Fatalf("%+v", m)
		}
	}
	if string(shown[0]) != string(shown[1]) {
		t.Error("each connection gets another certificate")
	}
	if _, err := NewServer(ServerOptions{}); !errors.Is(err, ErrNone) {
		t.Errorf("without leave to make one: %v", err)
	}
}

func TestChangedFilesAreUsedOnceTheyAreWhole(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	first, second := a.issue("first"), a.issue("second")
	s := newServer(t, ServerOptions{Files: first})
	config, client := s.Config(), newClient(t, Files{})
	expect := func(step, want string) {
		t.Helper()
		if m := meet(t, config, client); m.client != nil || m.name != want {
			t.Errorf("%s: %+v; expected %q", step, m, want)
		}
	}
	expect("at first", "first")
	if changed, err := s.Reload(); changed || err != nil {
		t.Errorf("without a change: %v, %v", changed, err)
	}
	move(t, second.CertificatePath, first.CertificatePath)
	if changed, err := s.Reload(); changed || err == nil {
		t.Errorf("a certificate without its key: %v, %v", changed, err)
	}
	expect("with half of the change", "first")
	move(t, second.KeyPath, first.KeyPath)
	if changed, err := s.Reload(); !changed || err != nil {
		t.Errorf("certificate and key: %v, %v", changed, err)
	}
	expect("with all of it", "second")
	if err := os.Remove(first.KeyPath); err != nil {
		t.Fatal(err)
	}
	if changed, err := s.Reload(); changed || err == nil {
		t.Errorf("without a key: %v, %v", changed, err)
	}
	expect("without a key", "second")
}

func TestWatchFollowsTheFiles(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	first, second := a.issue("first"), a.issue("second")
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, ServerOptions{Files: first})
		go s.Watch(t.Context())
		before := s.current.Load()
		move(t, second.CertificatePath, first.CertificatePath)
		<-time.After(2 * watchPeriod) // of the bubble's clock
		if s.current.Load() != before {
			t.Error("half of the change is in use")
		}
		move(t, second.KeyPath, first.KeyPath)
		<-time.After(2 * watchPeriod)
		if s.current.Load() == before {
			t.Error("the change is not in use")
		}
	})
}

func TestUnusableFilesAreNamed(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	good := a.issue("good")
	encrypted, empty := a.issue("encrypted"), a.issue("empty")
	writePEM(t, encrypted.KeyPath, "ENCRYPTED PRIVATE KEY", []byte("x"))
	if err := os.WriteFile(empty.TrustPath, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		files Files
		says  string
	}{
		"no key":               {Files{CertificatePath: good.CertificatePath}, "with key"},
		"no such file":         {Files{CertificatePath: good.CertificatePath, KeyPath: good.KeyPath + "x"}, "key.pemx"},
		"a folder":             {Files{CertificatePath: t.TempDir(), KeyPath: good.KeyPath}, "has to be a file"},
		"another's key":        {Files{CertificatePath: good.CertificatePath, KeyPath: a.issue("other").KeyPath}, "key"},
		"an encrypted key":     {encrypted, "openssl pkcs8"},
		"nobody to trust":      {empty, empty.TrustPath},
		"keys are not a trust": {Files{CertificatePath: good.CertificatePath, KeyPath: good.KeyPath, TrustPath: good.KeyPath}, "none in the file"},
	} {
		if _, err := NewServer(ServerOptions{Files: c.files, Log: quiet}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("server, %s: %v", name, err)
		}
		if _, err := NewClient(c.files); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("client, %s: %v", name, err)
		}
	}
	if _, err := NewClient(Files{KeyPath: good.KeyPath}); err == nil {
		t.Error("a client's key without a certificate is taken")
	}
}
