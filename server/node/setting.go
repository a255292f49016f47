package node

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apogeemq/apogee/server/broker/delay"
)

// setting is one key: how its value is read, and all that people need to know.
type setting struct {
	name     string
	fallback string // the default, as it would stand in a file
	allowed  string // what may stand there, in words
	doc      string
	set      func(c *Config, value string) error
}

// errNotAllowed: the value isn't one of those that allowed describes.
var errNotAllowed = errors.New("not allowed")

func text(name, fallback, doc string, field func(*Config) *string) setting {
	return setting{name, fallback, "1 to 255 characters", doc, func(c *Config, v string) error {
		if v == "" || len(v) > 255 || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' }) {
			return errNotAllowed
		}
		*field(c) = v
		return nil
	}}
}

func choice[T ~string](name, fallback, doc string, field func(*Config) *T, values ...T) setting {
	var words []string
	for _, v := range values {
		words = append(words, string(v))
	}
	return setting{name, fallback, either(words), doc, func(c *Config, v string) error {
		if !slices.Contains(values, T(v)) {
			return errNotAllowed
		}
		*field(c) = T(v)
		return nil
	}}
}

func boolean(name, fallback, doc string, field func(*Config) *bool) setting {
	return setting{name, fallback, "true or false", doc, func(c *Config, v string) error {
		switch strings.ToLower(v) {
		case "true":
			*field(c) = true
		case "false":
			*field(c) = false
		default:
			return errNotAllowed
		}
		return nil
	}}
}

func integer(name, fallback string, low, high int64, doc string, field func(*Config) *int) setting {
	return setting{name, fallback, fmt.Sprintf("%d to %d", low, high), doc, func(c *Config, v string) error {
		n, err := number(v, low, min(high, math.MaxInt))
		*field(c) = int(n)
		return err
	}}
}

func multiple(name, fallback string, of, low, high int64, doc string, field func(*Config) *int64) setting {
	return setting{name, fallback, fmt.Sprintf("a multiple of %d from %d to %d", of, low, high), doc, func(c *Config, v string) error {
		n, err := number(v, low, high)
		if n%of != 0 {
			return errNotAllowed
		}
		*field(c) = n
		return err
	}}
}

func duration(name, fallback string, unit time.Duration, low, high int64, doc string, field func(*Config) *time.Duration) setting {
	word := map[time.Duration]string{time.Millisecond: "milliseconds", time.Second: "seconds", time.Hour: "hours"}[unit]
	return setting{name, fallback, fmt.Sprintf("%d to %d (%s)", low, high, word), doc, func(c *Config, v string) error {
		n, err := number(v, low, high)
		*field(c) = time.Duration(n) * unit
		return err
	}}
}

func bytesOf(name, fallback, doc string, field func(*Config) *int64) setting {
	return setting{name, fallback, "0 or more", doc, func(c *Config, v string) error {
		n, err := number(v, 0, math.MaxInt64)
		*field(c) = n
		return err
	}}
}

// hours are RocketMQ's lists of hours: 04 or 04;16.
func hours(name, fallback, doc string, field func(*Config) *[]int) setting {
	return setting{name, fallback, "hours from 0 to 23 with ; between several", doc, func(c *Config, v string) error {
		var all []int
		for _, part := range strings.Split(v, ";") {
			n, err := number(strings.TrimSpace(part), 0, 23)
			if err != nil {
				return err
			}
			all = append(all, int(n))
		}
		*field(c) = all
		return nil
	}}
}

func levels(name, fallback, doc string, field func(*Config) *delay.Levels) setting {
	allowed := fmt.Sprintf("1 to %d durations such as 10s, with blanks between", delay.LevelsMax)
	return setting{name, fallback, allowed, doc, func(c *Config, v string) error {
		all, err := delay.ParseLevels(v)
		*field(c) = all
		return err
	}}
}

func number(v string, low, high int64) (int64, error) {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < low || n > high {
		return 0, errNotAllowed
	}
	return n, nil
}

func ip(name, fallback, doc string, field func(*Config) *netip.Addr) setting {
	return setting{name, fallback, "an IP address", doc, func(c *Config, v string) error {
		address, err := netip.ParseAddr(v)
		*field(c) = address.Unmap()
		return err
	}}
}

func optionalIP(name, fallback, doc string, field func(*Config) *netip.Addr) setting {
	s := ip(name, fallback, doc, field)
	required := s.set
	s.allowed = "an IP address that clients can reach, or nothing"
	s.set = func(c *Config, v string) error {
		if v == "" {
			*field(c) = netip.Addr{}
			return nil
		}
		if err := required(c, v); err != nil {
			return err
		}
		if field(c).IsUnspecified() {
			return errNotAllowed
		}
		return nil
	}
	return s
}

func nameservers(name, fallback, doc string, field func(*Config) *[]string) setting {
	return setting{name, fallback, "host:port, with ; between several, or nothing", doc, func(c *Config, v string) error {
		var addresses []string
		for _, part := range strings.Split(v, ";") {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			host, port, err := net.SplitHostPort(part)
			if err != nil || host == "" {
				return errNotAllowed
			}
			if _, err := number(port, 1, 65535); err != nil {
				return err
			}
			if !slices.Contains(addresses, part) {
				addresses = append(addresses, part)
			}
		}
		*field(c) = addresses
		return nil
	}}
}

// either joins words to "a, b or c".
func either(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return "only " + words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// optional is text that may be left out.
func optional(name, fallback, doc string, field func(*Config) *string) setting {
	s := text(name, fallback, doc, field)
	required := s.set
	s.allowed = "1 to 255 characters, or nothing"
	s.set = func(c *Config, v string) error {
		if v == "" {
			*field(c) = ""
			return nil
		}
		return required(c, v)
	}
	return s
}

// networks are addresses, or address ranges as 10.0.0.0/8.
func networks(name, fallback, doc string, field func(*Config) *[]netip.Prefix) setting {
	return setting{name, fallback, "IP addresses or ranges (10.0.0.0/8), with ; between several, or nothing", doc, func(c *Config, v string) error {
		var all []netip.Prefix
		for _, part := range strings.Split(v, ";") {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			prefix, err := netip.ParsePrefix(part)
			if err != nil {
				address, err := netip.ParseAddr(part)
				if err != nil || address.Zone() != "" {
					return errNotAllowed
				}
				prefix = netip.PrefixFrom(address.Unmap(), address.Unmap().BitLen())
			}
			all = append(all, prefix.Masked())
		}
		*field(c) = all
		return nil
	}}
}
