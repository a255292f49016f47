package certificate

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// watchPeriod is how often Watch looks at the files.
const watchPeriod = time.Second

// ErrNone says that a server has neither a certificate nor leave to make one.
var ErrNone = errors.New("no TLS certificate is configured")

// ServerOptions say what a server shows and whom it lets in.
type ServerOptions struct {
	Files
	ClientAuth ClientAuth   // "" is ClientAuthNone
	SelfSigned bool         // makes a certificate where CertificatePath is empty
	Log        *slog.Logger // slog.Default() when nil
}

// Server is the TLS side of a server. Its methods are safe from any goroutine.
type Server struct {
	options    ServerOptions
	selfSigned func() (*tls.Certificate, error)

	mu      sync.Mutex
	tried   *content // what the last reload has read, good or bad
	current atomic.Pointer[tls.Config]
}

// NewServer reads the files. It fails when they do not make a whole
// configuration, with ErrNone when there is nothing to make one of.
func NewServer(o ServerOptions) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := &Server{options: o}
	if o.CertificatePath == "" {
		if !o.SelfSigned {
			return nil, ErrNone
		}
		s.selfSigned = sync.OnceValues(func() (*tls.Certificate, error) {
			o.Log.Warn("TLS with a certificate made by this process: traffic is encrypted, but clients cannot tell who answers")
			return selfSign(time.Now())
		})
	}
	if _, err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Config is the configuration to serve with. It stays valid: each handshake
// takes what the files held when they were read last.
func (s *Server) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return s.current.Load(), nil
		},
	}
}

// Reload reads the files again and reports whether connections that begin now
// use something new. After an error they use what they used before.
func (s *Server) Reload() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	read, err := s.options.read()
	if err != nil {
		return false, err
	}
	if s.tried != nil && s.tried.equal(read) {
		return false, nil
	}
	s.tried = read
	config, err := s.config(read)
	if err != nil {
		return false, err
	}
	s.current.Store(config)
	return true, nil
}

func (s *Server) config(read *content) (*tls.Config, error) {
	roots, err := s.options.roots(read)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, ClientCAs: roots, ClientAuth: s.options.clientAuth(),
		DynamicRecordSizingDisabled: true, // a broker's peer is a machine, not a page that renders
		SessionTicketsDisabled:      true, // connections are long; whom we trust is looked at for each
	}
	if s.selfSigned != nil {
		config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.selfSigned() }
		return config, nil
	}
	pair, err := s.options.pair(read)
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

func (o *ServerOptions) clientAuth() tls.ClientAuthType {
	switch {
	case o.ClientAuth == ClientAuthOptional && o.VerifyPeer:
		return tls.VerifyClientCertIfGiven
	case o.ClientAuth == ClientAuthOptional:
		return tls.RequestClientCert
	case o.ClientAuth == ClientAuthRequire && o.VerifyPeer:
		return tls.RequireAndVerifyClientCert
	case o.ClientAuth == ClientAuthRequire:
		return tls.RequireAnyClientCert
	}
	return tls.NoClientCert
}

// Watch follows the files until the context ends.
func (s *Server) Watch(ctx context.Context) {
	ticker := time.NewTicker(watchPeriod)
	defer ticker.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		changed, err := s.Reload()
		switch {
		case err != nil && err.Error() != said:
			said = err.Error()
			s.options.Log.Error("TLS files have changed and cannot be used: connections that begin now get what was there before", "cause", err)
		case changed:
			said = ""
			s.options.Log.Info("TLS files reloaded", "certificate", s.options.CertificatePath)
		}
	}
}
