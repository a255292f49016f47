package access

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// addresses is a pattern of white addresses:
//
//	192.168.0.1, ::1         that address
//	a,b,c                    each of them
//	192.168.0.{1,7}          each of them
//	192.168.*.*, 10.1.1-9.*  ranges of parts, * for any; only * follows a range
//	1050::*:*                the same of IPv6: only the last parts may be ranges
//	*, *.*.*.*               every address
type addresses struct {
	all     bool
	ranges  []addressRange
	singles map[netip.Addr]bool
}

// addressRange is the addresses whose parts are each within bounds.
type addressRange struct {
	low, high [8]uint16
	count     int // of parts: four of 8 bits, or eight of 16
}

func (a *addresses) contains(ip netip.Addr) bool {
	if a.all || a.singles[ip.WithZone("")] {
		return true
	}
	if len(a.ranges) == 0 || !ip.IsValid() {
		return false
	}
	parts, count := partsOf(ip)
	for i := range a.ranges {
		if r := &a.ranges[i]; r.count == count && r.contains(&parts) {
			return true
		}
	}
	return false
}

func (r *addressRange) contains(parts *[8]uint16) bool {
	for i, p := range parts[:r.count] {
		if p < r.low[i] || p > r.high[i] {
			return false
		}
	}
	return true
}

func partsOf(ip netip.Addr) (parts [8]uint16, count int) {
	if ip.Is4() {
		for i, b := range ip.As4() {
			parts[i] = uint16(b)
		}
		return parts, 4
	}
	b := ip.As16()
	for i := range parts {
		parts[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
	}
	return parts, 8
}

// addressPartsMax bounds the addresses of one pattern.
const addressPartsMax = 4096

// add parses a pattern; nothing is no address.
func (a *addresses) add(pattern string) error {
	pattern = strings.TrimSpace(pattern)
	switch pattern {
	case "":
		return nil
	case "*", "*.*.*.*", "*:*:*:*:*:*:*:*":
		a.all = true
		return nil
	}
	if head, list, ok := strings.Cut(pattern, "{"); ok {
		list, closed := strings.CutSuffix(list, "}")
		if !closed || head == "" || !strings.HasSuffix(head, ".") && !strings.HasSuffix(head, ":") {
			return notAnAddress(pattern)
		}
		return a.addEach(head, list)
	}
	if strings.Contains(pattern, ",") {
		return a.addEach("", pattern)
	}
	if strings.ContainsAny(pattern, "*-") {
		return a.addRange(pattern)
	}
	ip, err := netip.ParseAddr(pattern)
	if err != nil || ip.Zone() != "" {
		return notAnAddress(pattern)
	}
	if a.singles == nil {
		a.singles = map[netip.Addr]bool{}
	}
	a.singles[ip.Unmap()] = true
	return nil
}

func notAnAddress(pattern string) error {
	return fmt.Errorf("%q is no address: use one like 192.168.0.1, 192.168.0.{1,2}, 192.168.1-9.* or *, or several with a comma between", pattern)
}

// addEach adds head followed by each part of a list with commas.
func (a *addresses) addEach(head, list string) error {
	parts := strings.Split(list, ",")
	if len(parts) > addressPartsMax {
		return fmt.Errorf("%d addresses in one pattern, at most %d are allowed", len(parts), addressPartsMax)
	}
	for _, part := range parts {
		part = strings.TrimSpace(part)
		if part == "" || strings.ContainsAny(part, "{}*-") {
			return notAnAddress(head + part)
		}
		if err := a.add(head + part); err != nil {
			return err
		}
	}
	return nil
}

func (a *addresses) addRange(pattern string) error {
	count, most, base, texts := 4, uint64(255), 10, strings.Split(pattern, ".")
	if strings.Contains(pattern, ":") {
		var ok bool
		if texts, ok = expand(strings.Split(pattern, ":")); !ok {
			return notAnAddress(pattern)
		}
		count, most, base = 8, 0xffff, 16
	}
	if len(texts) != count {
		return notAnAddress(pattern)
	}
	r := addressRange{count: count}
	ranged := false
	for i, text := range texts {
		low, high, ok := parseRange(strings.TrimSpace(text), base, most)
		if !ok || ranged && text != "*" {
			return notAnAddress(pattern)
		}
		ranged = ranged || low != high
		r.low[i], r.high[i] = uint16(low), uint16(high)
	}
	a.ranges = append(a.ranges, r)
	return nil
}

// expand replaces the empty part of an IPv6 pattern by zeros.
func expand(texts []string) ([]string, bool) {
	var all []string
	gap := false
	for i, text := range texts {
		switch {
		case text != "":
			all = append(all, text)
		case gap && i > 1: // a second one
			return nil, false
		default:
			gap = true
			for n := len(texts); n <= 8; n++ {
				all = append(all, "0")
			}
		}
	}
	return all, true
}

// parseRange reads *, a number or two with - between.
func parseRange(text string, base int, most uint64) (low, high uint64, ok bool) {
	if text == "*" {
		return 0, most, true
	}
	from, to, isRange := strings.Cut(text, "-")
	low, err := strconv.ParseUint(from, base, 16)
	high = low
	if err == nil && isRange {
		high, err = strconv.ParseUint(to, base, 16)
	}
	return low, high, err == nil && low <= high && high <= most
}
