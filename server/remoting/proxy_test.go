package remoting

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// proxyV2 is a version 2 header.
func proxyV2(command, family byte, rest string) []byte {
	b := append([]byte(proxyBinary), command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(rest)))
	return append(b, rest...)
}

const (
	v4Addresses = "\x0a\x00\x00\x05\x0a\x00\x00\x06\xc3\x50\x2a\x9f" // 10.0.0.5:50000 to 10.0.0.6:10911
	v6Addresses = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\xc3\x50\x2a\x9f"
)

// proxyHeaders are headers as proxies send them, each with the client's address.
var proxyHeaders = map[string]string{
	"PROXY TCP4 10.0.0.5 10.0.0.6 50000 10911\r\n":               "10.0.0.5:50000",
	"PROXY TCP6 2001:db8::1 2001:db8::2 50000 10911\r\n":         "[2001:db8::1]:50000",
	"PROXY TCP6 ::ffff:10.0.0.5 ::ffff:10.0.0.6 50000 10911\r\n": "10.0.0.5:50000",
	"PROXY UNKNOWN\r\n":                                                "",
	"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n":                    "",
	string(proxyV2(0x21, 0x11, v4Addresses)):                           "10.0.0.5:50000",
	string(proxyV2(0x21, 0x21, v6Addresses)):                           "[2001:db8::1]:50000",
	string(proxyV2(0x21, 0x11, v4Addresses+"\x04\x00\x03abc")):         "10.0.0.5:50000", // with an extension
	string(proxyV2(0x20, 0x00, "")):                                    "",               // LOCAL: the proxy's own
	string(proxyV2(0x20, 0x11, v4Addresses)):                           "",
	string(proxyV2(0x21, 0x00, "")):                                    "", // unspecified
	string(proxyV2(0x21, 0x31, strings.Repeat("\x00", 216))):           "", // a UNIX socket
	string(proxyV2(0x21, 0x11, v4Addresses+strings.Repeat("x", 4000))): "10.0.0.5:50000",
}

func TestProxyHeadersAreReadFromTheirFirstByteOn(t *testing.T) {
	t.Parallel()
	for text, address := range proxyHeaders {
		var want netip.AddrPort
		if address != "" {
			want = netip.MustParseAddrPort(address)
		}
		for n := 1; n < len(text); n++ {
			if h, err := parseProxyHeader([]byte(text[:n])); err != nil || h.bytes != 0 {
				t.Fatalf("the first %d bytes of %q: %+v, %v", n, text, h, err)
			}
		}
		h, err := parseProxyHeader([]byte(text + "rest"))
		if err != nil || h.bytes != len(text) || h.source != want {
			t.Errorf("%q: %+v, %v", text, h, err)
		}
	}
}

func TestBrokenProxyHeadersAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"PUT / HTTP/1.1\r\n", "PROXY \r\n", "PROXY TCP4\r\n", "PROXY TCP4 10.0.0.5 10.0.0.6 50000\r\n",
		"PROXY TCP4 10.0.0.5 10.0.0.6 70000 1\r\n", "PROXY TCP4 10.0.0.5 10.0.0.6 1 -1\r\n", "PROXY TCP4 ::1 ::2 1 2\r\n",
		"PROXY TCP6 10.0.0.5 10.0.0.6 1 2\r\n", "PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n", "PROXY UDP4 10.0.0.5 10.0.0.6 1 2\r\n",
		"PROXY TCP4 10.0.0.5 10.0.0.6 1 2 3\r\n", "PROXY TCP4  10.0.0.5 10.0.0.6 1 2\r\n",
		"PROXY UNKNOWN " + strings.Repeat("x", 100), "PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n",
		"\r\n\r\nx", string(proxyV2(0x31, 0x11, v4Addresses)), string(proxyV2(0x22, 0x11, v4Addresses)),
		string(proxyV2(0x21, 0x11, v4Addresses[1:])), string(proxyV2(0x21, 0x21, v6Addresses[1:])),
		string(proxyV2(0x21, 0x11, strings.Repeat("x", 4097))),
	} {
		if h, err := parseProxyHeader([]byte(text)); !errors.Is(err, ErrProtocol) {
			t.Errorf("%q: %+v, %v", text, h, err)
		}
	}
}

func TestTheAddressBehindATrustedProxyReachesTheHandler(t *testing.T) {
	t.Parallel()
	here := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8")}
	elsewhere := here[:1]
	for text, address := range proxyHeaders {
		for _, trusted := range [][]netip.Prefix{here, elsewhere} {
			seen := make(chan netip.AddrPort, 1)
			s := startServer(t, newTestHandler(func(rt ReplyTo, cmd *Command) {
				seen <- rt.Conn.RemoteAddr()
				echo(rt, cmd)
			}), Options{ProxyTrusted: trusted})
			p := dialRaw(t, s)
			p.send(append([]byte(text), requestFrame(t, &Request{}, 7, 0, JSON)...))
			if got := p.receive(); got.Opaque != 7 {
				t.Fatalf("%q: %+v", text, got)
			}
			want, distrusted := addrPort(p.LocalAddr()), uint64(0)
			switch {
			case address != "" && len(trusted) == len(here):
				want = netip.MustParseAddrPort(address)
			case address != "":
				distrusted = 1
			}
			if got := receiveFrom(t, seen, "the request"); got != want {
				t.Errorf("%q, trusted %v: from %v, expected %v", text, trusted, got, want)
			}
			if got := s.Stats().Distrusted; got != distrusted {
				t.Errorf("%q, trusted %v: %d were not trusted", text, trusted, got)
			}
		}
	}
}

func TestTLSMayFollowAProxyHeader(t *testing.T) {
	t.Parallel()
	s := startServer(t, newTestHandler(echo), Options{TLS: selfSignedTLS(t), TLSMode: TLSEnforcing})
	p := dialRaw(t, s)
	for _, b := range []byte("PROXY TCP4 10.0.0.5 10.0.0.6 50000 10911\r\n") {
		p.send([]byte{b})
	}
	secure := p.overTLS()
	secure.send(requestFrame(t, &Request{}, 7, 0, JSON))
	if got := secure.receive(); got.Opaque != 7 {
		t.Errorf("%+v", got)
	}
}

// FuzzProxyHeader checks that the parser takes what it says and no more.
func FuzzProxyHeader(f *testing.F) {
	for text := range proxyHeaders {
		f.Add([]byte(text))
	}
	f.Add([]byte("PROXY TCP4 "))
	f.Add([]byte{0x0d, 0x0a})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || !mayBeProxyHeader(b[0]) {
			return
		}
		h, err := parseProxyHeader(b)
		switch {
		case err != nil && (!errors.Is(err, ErrProtocol) || h.bytes != 0 && h.source.IsValid()):
			t.Fatalf("%+v, %v", h, err)
		case err != nil:
			return
		case h.bytes > len(b) || h.bytes > proxyBinaryBytesMax:
			t.Fatalf("a header of %d bytes in %d", h.bytes, len(b))
		case h.bytes == 0 && len(b) >= proxyBinaryBytesMax:
			t.Fatalf("asks for more than %d bytes", len(b))
		}
		if h.bytes > 0 { // the same from these bytes alone
			if again, err := parseProxyHeader(b[:h.bytes]); err != nil || again != h {
				t.Fatalf("%+v, then %+v, %v", h, again, err)
			}
		}
	})
}
