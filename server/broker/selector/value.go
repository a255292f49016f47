package selector

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"strconv"
	"strings"
)

// kind is the type that a value has in the original: its rules of conversion
// depend on it.
type kind uint8

const (
	null kind = iota
	boolean
	integer // 32 bits
	long
	double
	text
)

// value is a result of an evaluation; its zero is null.
type value struct {
	kind   kind
	truth  bool
	number int64
	float  float64
	text   []byte
}

func truth(b bool) value { return value{kind: boolean, truth: b} }

// not is SQL's: null stays null.
func (v value) not() value {
	v.truth = !v.truth
	return v
}

func (v value) isTrue() bool  { return v.kind == boolean && v.truth }
func (v value) isFalse() bool { return v.kind == boolean && !v.truth }

// errEvaluation ends an evaluation: the message doesn't match. It says no
// more, as nobody reads it.
var errEvaluation = errors.New("a value can't be converted")

// incomparable is how values of types that never compare are ordered.
const incomparable = -1

// compare orders two values that aren't null, after conversion to the type of
// the other where one is text.
func compare(left, right value) (int, error) {
	var err error
	switch {
	case left.kind == right.kind:
	case left.kind == text:
		left, err = left.as(right.kind)
	case left.kind == boolean && right.kind == text:
		return 0, errEvaluation
	case left.kind == boolean || right.kind == boolean:
		return incomparable, nil
	case right.kind == text:
		right, err = right.as(left.kind)
	default:
		left, right = widen(left, max(left.kind, right.kind)), widen(right, max(left.kind, right.kind))
	}
	if err != nil {
		return 0, err
	}
	switch left.kind {
	case boolean:
		return compareTruth(left.truth, right.truth), nil
	case double:
		return compareFloats(left.float, right.float), nil
	case text:
		return bytes.Compare(left.text, right.text), nil
	default:
		return cmp.Compare(left.number, right.number), nil
	}
}

func compareTruth(left, right bool) int {
	switch {
	case left == right:
		return 0
	case left:
		return 1
	}
	return -1
}

// compareFloats orders as Java's Double.compareTo: -0 before 0, NaN last.
func compareFloats(left, right float64) int {
	switch {
	case left < right:
		return -1
	case left > right:
		return 1
	case left == right && left != 0:
		return 0
	case math.IsNaN(left) || math.IsNaN(right):
		return compareTruth(math.IsNaN(left), math.IsNaN(right))
	}
	return compareTruth(!math.Signbit(left), !math.Signbit(right))
}

// widen turns a number into one of a wider type.
func widen(v value, to kind) value {
	if to == double && v.kind != double {
		return value{kind: double, float: float64(v.number)}
	}
	v.kind = to
	return v
}

// as reads text as a value of another type.
func (v value) as(to kind) (value, error) {
	switch to {
	case boolean:
		return truth(bytes.EqualFold(v.text, []byte("true"))), nil
	case integer:
		return v.asNumber(to, 32)
	case long:
		return v.asNumber(to, 64)
	}
	return v.asDouble()
}

func (v value) asNumber(to kind, bits int) (value, error) {
	n, err := strconv.ParseInt(string(v.text), 10, bits)
	if err != nil {
		return value{}, errEvaluation
	}
	return value{kind: to, number: n}, nil
}

// asDouble reads what Java's Double.valueOf reads: blanks around, a suffix f
// or d, NaN and Infinity, hexadecimal floats.
func (v value) asDouble() (value, error) {
	s := strings.TrimFunc(string(v.text), func(r rune) bool { return r <= ' ' })
	unsigned := strings.TrimLeft(s[:min(1, len(s))], "+-") + s[min(1, len(s)):]
	switch {
	case unsigned == "NaN":
		return value{kind: double, float: math.NaN()}, nil
	case unsigned == "Infinity":
		return v.parseDouble(s)
	case strings.HasPrefix(unsigned, "0x") || strings.HasPrefix(unsigned, "0X"):
		return v.parseHexadecimal(s)
	case strings.Trim(unsigned, "0123456789.eE+-fFdD") != "":
		return value{}, errEvaluation
	}
	return v.parseDouble(cutSuffix(s))
}

func (v value) parseHexadecimal(s string) (value, error) {
	if strings.ContainsRune(s, '_') || !strings.ContainsAny(s, "pP") {
		return value{}, errEvaluation
	}
	return v.parseDouble(cutSuffix(s))
}

// cutSuffix removes one letter for the type of a Java literal.
func cutSuffix(s string) string {
	if n := len(s) - 1; n > 0 && strings.IndexByte("fFdD", s[n]) >= 0 {
		return s[:n]
	}
	return s
}

// parseDouble takes too large numbers as infinite, as Java does.
func (value) parseDouble(s string) (value, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return value{}, errEvaluation
	}
	return value{kind: double, float: f}, nil
}
