package remoting

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

const (
	proxyTextBytesMax   = 107       // of version 1, line end included; the longest that its specification allows
	proxyBinaryBytesMax = 16 + 4096 // of version 2; addresses take at most 216 bytes, the rest are extensions
	proxyText           = "PROXY "
	proxyBinary         = "\r\n\r\n\x00\r\nQUIT\n"
)

// proxyHeader is what a proxy says about the connection it passes on.
type proxyHeader struct {
	bytes  int            // length of the header; 0: more bytes are needed to tell
	source netip.AddrPort // the client; invalid when the proxy doesn't say, as in its own health checks
}

// mayBeProxyHeader looks at the first byte of a connection. As that of a
// length it would be far over the limit.
func mayBeProxyHeader(first byte) bool { return first == proxyText[0] || first == proxyBinary[0] }

// parseProxyHeader reads a header of HAProxy's PROXY protocol, version 1 or 2,
// at the start of b. An error is final: no further bytes make it a header.
func parseProxyHeader(b []byte) (proxyHeader, error) {
	if h, ok, err := parseProxyBinary(b); ok {
		return h, err
	}
	return parseProxyText(b)
}

func parseProxyText(b []byte) (proxyHeader, error) {
	if n := min(len(b), len(proxyText)); string(b[:n]) != proxyText[:n] {
		return proxyHeader{}, fmt.Errorf("%w: it begins neither like a frame nor like TLS nor like a PROXY header", ErrProtocol)
	}
	end := bytes.Index(b[:min(len(b), proxyTextBytesMax)], []byte("\r\n"))
	switch {
	case end < 0 && len(b) < proxyTextBytesMax:
		return proxyHeader{}, nil
	case end < 0:
		return proxyHeader{}, fmt.Errorf("%w: PROXY header without an end in %d bytes", ErrProtocol, proxyTextBytesMax)
	}
	h := proxyHeader{bytes: end + len("\r\n")}
	words := strings.Split(string(b[len(proxyText):end]), " ")
	if words[0] == "UNKNOWN" {
		return h, nil
	}
	if len(words) != 5 || words[0] != "TCP4" && words[0] != "TCP6" {
		return proxyHeader{}, fmt.Errorf("%w: PROXY header %q", ErrProtocol, b[:end])
	}
	for _, i := range []int{1, 2} { // source, destination
		address, err := netip.ParseAddr(words[i])
		port, err2 := strconv.ParseUint(words[i+2], 10, 16)
		if err != nil || err2 != nil || address.Zone() != "" || address.Is4() != (words[0] == "TCP4") {
			return proxyHeader{}, fmt.Errorf("%w: PROXY header %q", ErrProtocol, b[:end])
		}
		if i == 1 {
			h.source = netip.AddrPortFrom(address.Unmap(), uint16(port))
		}
	}
	return h, nil
}

// parseProxyBinary reports ok when b begins like version 2, as far as it goes.
func parseProxyBinary(b []byte) (h proxyHeader, ok bool, err error) {
	const fixed = len(proxyBinary) + 4 // signature, version and command, family, length
	if n := min(len(b), len(proxyBinary)); string(b[:n]) != proxyBinary[:n] {
		return h, false, nil
	}
	if len(b) < fixed {
		return h, true, nil
	}
	versionCommand, family := b[len(proxyBinary)], b[len(proxyBinary)+1]
	total := fixed + int(binary.BigEndian.Uint16(b[fixed-2:]))
	switch {
	case versionCommand>>4 != 2 || versionCommand&15 > 1:
		return h, true, fmt.Errorf("%w: PROXY header of unknown version and command %#02x", ErrProtocol, versionCommand)
	case total > proxyBinaryBytesMax:
		return h, true, fmt.Errorf("%w: PROXY header of %d bytes, at most %d are allowed", ErrProtocol, total, proxyBinaryBytesMax)
	case len(b) < total:
		return h, true, nil
	}
	h.bytes = total
	if local := versionCommand&15 == 0; local {
		return h, true, nil
	}
	h.source, err = proxySource(family, b[fixed:total])
	return h, true, err
}

// proxySource is the source address of a version 2 header; families other than
// TCP over IP have none that we know.
func proxySource(family byte, addresses []byte) (netip.AddrPort, error) {
	const tcp4, tcp6 = 0x11, 0x21
	var size int
	switch family {
	case tcp4:
		size = 4
	case tcp6:
		size = 16
	default:
		return netip.AddrPort{}, nil
	}
	if len(addresses) < 2*(size+2) {
		return netip.AddrPort{}, fmt.Errorf("%w: PROXY header with %d bytes of addresses, %d are needed", ErrProtocol, len(addresses), 2*(size+2))
	}
	address, _ := netip.AddrFromSlice(addresses[:size])
	return netip.AddrPortFrom(address.Unmap(), binary.BigEndian.Uint16(addresses[2*size:])), nil
}
