package conf

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Text is text of one line.
func Text[C any](name, fallback, doc string, field func(*C) *string) Setting[C] {
	return Of(name, fallback, "1 to 255 characters", doc, func(c *C, v string) error {
		if v == "" || len(v) > 255 || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' }) {
			return ErrNotAllowed
		}
		*field(c) = v
		return nil
	})
}

// Choice is one of several words.
func Choice[C any, T ~string](name, fallback, doc string, field func(*C) *T, values ...T) Setting[C] {
	var words []string
	for _, v := range values {
		words = append(words, string(v))
	}
	return Of(name, fallback, either(words), doc, func(c *C, v string) error {
		if !slices.Contains(values, T(v)) {
			return ErrNotAllowed
		}
		*field(c) = T(v)
		return nil
	})
}

// Boolean is true or false, in any case.
func Boolean[C any](name, fallback, doc string, field func(*C) *bool) Setting[C] {
	return Of(name, fallback, "true or false", doc, func(c *C, v string) error {
		switch strings.ToLower(v) {
		case "true":
			*field(c) = true
		case "false":
			*field(c) = false
		default:
			return ErrNotAllowed
		}
		return nil
	})
}

// Integer is a whole number between two that are allowed as well.
func Integer[C any](name, fallback string, low, high int64, doc string, field func(*C) *int) Setting[C] {
	return Of(name, fallback, fmt.Sprintf("%d to %d", low, high), doc, func(c *C, v string) error {
		n, err := Number(v, low, min(high, math.MaxInt))
		*field(c) = int(n)
		return err
	})
}

// Multiple is a whole number that another one divides.
func Multiple[C any](name, fallback string, of, low, high int64, doc string, field func(*C) *int64) Setting[C] {
	return Of(name, fallback, fmt.Sprintf("a multiple of %d from %d to %d", of, low, high), doc, func(c *C, v string) error {
		n, err := Number(v, low, high)
		if n%of != 0 {
			return ErrNotAllowed
		}
		*field(c) = n
		return err
	})
}

// Duration is a whole number of a unit: milliseconds, seconds or hours.
func Duration[C any](name, fallback string, unit time.Duration, low, high int64, doc string, field func(*C) *time.Duration) Setting[C] {
	word := map[time.Duration]string{time.Millisecond: "milliseconds", time.Second: "seconds", time.Hour: "hours"}[unit]
	return Of(name, fallback, fmt.Sprintf("%d to %d (%s)", low, high, word), doc, func(c *C, v string) error {
		n, err := Number(v, low, high)
		*field(c) = time.Duration(n) * unit
		return err
	})
}

// Bytes is a number of bytes.
func Bytes[C any](name, fallback, doc string, field func(*C) *int64) Setting[C] {
	return Of(name, fallback, "0 or more", doc, func(c *C, v string) error {
		n, err := Number(v, 0, math.MaxInt64)
		*field(c) = n
		return err
	})
}

// Hours are RocketMQ's lists of hours: 04 or 04;16.
func Hours[C any](name, fallback, doc string, field func(*C) *[]int) Setting[C] {
	return Of(name, fallback, "hours from 0 to 23 with ; between several", doc, func(c *C, v string) error {
		var all []int
		for _, part := range strings.Split(v, ";") {
			n, err := Number(strings.TrimSpace(part), 0, 23)
			if err != nil {
				return err
			}
			all = append(all, int(n))
		}
		*field(c) = all
		return nil
	})
}

// Number reads a whole number between two that are allowed as well.
func Number(v string, low, high int64) (int64, error) {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < low || n > high {
		return 0, ErrNotAllowed
	}
	return n, nil
}

// IP is an address of this machine.
func IP[C any](name, fallback, doc string, field func(*C) *netip.Addr) Setting[C] {
	return Of(name, fallback, "an IP address", doc, func(c *C, v string) error {
		address, err := netip.ParseAddr(v)
		*field(c) = address.Unmap()
		return err
	})
}

// OptionalIP is an address that others can reach. It may be left out.
func OptionalIP[C any](name, fallback, doc string, field func(*C) *netip.Addr) Setting[C] {
	s := IP(name, fallback, doc, field)
	required := s.Set
	s.Allowed = "an IP address that clients can reach, or nothing"
	s.Set = func(c *C, v string) error {
		if v == "" {
			*field(c) = netip.Addr{}
			return nil
		}
		if err := required(c, v); err != nil {
			return err
		}
		if field(c).IsUnspecified() {
			return ErrNotAllowed
		}
		return nil
	}
	return s
}

// Addresses are host:port, with ; between several. They may be left out.
func Addresses[C any](name, fallback, doc string, field func(*C) *[]string) Setting[C] {
	return Parsed(name, fallback, "host:port, with ; between several, or nothing", doc, ParseAddresses, field)
}

// ParseAddresses reads host:port, with ; between several. What stands there
// twice counts once.
func ParseAddresses(v string) ([]string, error) {
	var addresses []string
	for part := range strings.SplitSeq(v, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		host, port, err := net.SplitHostPort(part)
		if err != nil || host == "" {
			return nil, ErrNotAllowed
		}
		if _, err := Number(port, 1, 65535); err != nil {
			return nil, err
		}
		if !slices.Contains(addresses, part) {
			addresses = append(addresses, part)
		}
	}
	return addresses, nil
}

// either joins words to "a, b or c".
func either(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return "only " + words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// Optional is text that may be left out.
func Optional[C any](name, fallback, doc string, field func(*C) *string) Setting[C] {
	s := Text(name, fallback, doc, field)
	required := s.Set
	s.Allowed = "1 to 255 characters, or nothing"
	s.Set = func(c *C, v string) error {
		if v == "" {
			*field(c) = ""
			return nil
		}
		return required(c, v)
	}
	return s
}

// Networks are addresses, or address ranges as 10.0.0.0/8.
func Networks[C any](name, fallback, doc string, field func(*C) *[]netip.Prefix) Setting[C] {
	return Of(name, fallback, "IP addresses or ranges (10.0.0.0/8), with ; between several, or nothing", doc, func(c *C, v string) error {
		var all []netip.Prefix
		for _, part := range strings.Split(v, ";") {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			prefix, err := netip.ParsePrefix(part)
			if err != nil {
				address, err := netip.ParseAddr(part)
				if err != nil || address.Zone() != "" {
					return ErrNotAllowed
				}
				prefix = netip.PrefixFrom(address.Unmap(), address.Unmap().BitLen())
			}
			all = append(all, prefix.Masked())
		}
		*field(c) = all
		return nil
	})
}

// Parsed is what parse makes of a value.
func Parsed[C, T any](name, fallback, allowed, doc string, parse func(string) (T, error), field func(*C) *T) Setting[C] {
	return Of(name, fallback, allowed, doc, func(c *C, v string) (err error) {
		*field(c), err = parse(v)
		return err
	})
}
