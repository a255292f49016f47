package selector

import (
	"strings"
	"testing"
)

// message is the one that all cases are tried on.
type message map[string]string

func (m message) Get(name string) ([]byte, bool) {
	v, found := m[name]
	return []byte(v), found
}

var sample = message{
	"a": "5", "b": "hello world", "big": "3000000000", "f": "2.5", "yes": "TRUE", "quote": "it's", "empty": "",
	"A": "7", "nan": "NaN", "hex": "0x1p4", "suffix": " 1e2d ", "order$1": "x", "and_more": "1", "$and": "2",
}

func TestExpressionsMatchAsInTheOriginal(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]bool{
		"a = 5": true, "a = '5'": true, "a = 5.0": true, "a <> 6": true, "a = 6": false,
		"a > 4": true, "a >= 5": true, "a < 5": false, "a <= 5 AND b IS NOT NULL": true,
		"a BETWEEN 5 AND 6": true, "a BETWEEN 6 AND 7": false, "a NOT BETWEEN 6 AND 7": true,
		"a > -1": true, "a > +4": true, "- a IS NULL": true, "a BETWEEN -5 AND -10": false,
		"A = 7": true, "a = A": false, "a < A": true, "b < a": false, "NOT (b < a)": false,
		"missing IS NULL": true, "missing IS NOT NULL": false, "a IS NULL": false,
		"missing = 1": false, "NOT (missing = 1)": false, "1 = missing": false, "NOT (1 = missing)": true,
		"missing = missing": true, "missing <> 1": false, "missing > 1 OR a = 5": true, "missing > 1 AND a = 5": false,
		"big = 3000000000": true, "big > 5": false, "big > 5L": false, "big > 5.0": true, "a = 5l": true,
		"f > 2": false, "f > 2.0": true, "f = 2.5e0": true, "f > .5": true, "f > 2.": true,
		"b CONTAINS 'lo wo'": true, "b NOT CONTAINS 'lo wo'": false, "b contains ''": false, "b not contains ''": false,
		"b STARTSWITH 'hello'": true, "b ENDSWITH 'hello'": false, "b NOT ENDSWITH 'hello'": true,
		"missing CONTAINS 'x'": false, "missing NOT CONTAINS 'x'": false, "5 CONTAINS '5'": false,
		"b IN ('x', 'hello world')": true, "b NOT IN ('x')": true, "missing IN ('x')": false, "missing NOT IN ('x')": false,
		"quote = 'it''s'": true, "yes": false, "NOT yes": true, "missing OR TRUE": true, "NOT missing": false,
		"yes = TRUE": true, "TRUE = yes": false, "NOT (TRUE = yes)": false, "a = TRUE": false, "1 = TRUE": false, "NULL": false, "TRUE": true,
		"(a = 5) = TRUE": true, "empty = ''": true, "empty > 1": false, "nan > 1e300": true, "hex = 16.0": true, "suffix = 100.0": true,
		"order$1 = 'x'": true, "and_more = 1": true, "$and = 2": true,
		"a = 5 /* five ** / */ AND -- of it\n TRUE": true, "a = 6 OR a = 5 AND b IS NOT NULL": true,
		"(a) IN ('5')": true, "x < 1 OR TRUE": true, "b < 1 OR TRUE": false, "TRUE OR b < 1": true, "aNd_more = 1 oR a = 5": true,
	} {
		s, err := Compile(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if got := s.Matches(sample); got != want {
			t.Errorf("%s: %v, want %v", expression, got, want)
		}
	}
}

func TestWhatCannotBeMeantIsRefused(t *testing.T) {
	t.Parallel()
	for expression, reason := range map[string]string{
		"": "unexpected", "a =": "unexpected", "a = 1 b": "unexpected", "5": "no boolean value", "'x'": "no boolean value", "a AND 5": "no boolean value",
		"-a": "no boolean value", "a > 'x'": "order", "a < TRUE": "order", "(a = 1) > 2": "order", "a > 1 > 2": "order",
		"a = NULL": "IS NULL", "NULL <> a": "IS NULL", "TRUE = 5": "compared", "a BETWEEN 7 AND 6": "above", "a BETWEEN NULL AND 1": "order",
		"5 IN ('5')": "needs a property", "a IN (5)": "unexpected", "NOT a IN ('5')": "needs a property", "a IN ()": "unexpected",
		"a = 9223372036854775808": "integer", "a = 0.0": "float", "a = 1e400": "float", "a = 007": "unexpected", "a = 0L": "unexpected",
		"a LIKE 'x'": "unexpected", "a + 1 = 2": "unexpected", "a = 'x": "invalid input", "a = 1 -- no end": "unexpected", "a = AND": "unexpected",
		"a = \x80":               "invalid input",
		strings.Repeat("(", 101): "deeper", strings.Repeat("NOT ", 101) + "a": "deeper",
		"a = '" + strings.Repeat("x", BytesMax) + "'": "at most",
	} {
		_, err := Compile(expression)
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%.40s: %v, want an error with %q", expression, err, reason)
		}
	}
}

func TestALongExpressionCompilesAndMatches(t *testing.T) {
	t.Parallel()
	wide := "a IN ('" + strings.Repeat("x','", 5000) + "5')"
	deep := strings.Repeat("(", 99) + "a = 5" + strings.Repeat(")", 99)
	long := strings.Repeat("a = 6 OR ", 3000) + "a = 5"
	for _, expression := range []string{wide, deep, long} {
		if s, err := Compile(expression); err != nil || !s.Matches(sample) {
			t.Errorf("%.30s: %v, or no match", expression, err)
		}
	}
}

func FuzzCompileAndMatch(f *testing.F) {
	for _, seed := range []string{
		"a = 5 AND (b CONTAINS 'x' OR NOT c IS NULL)", "a NOT BETWEEN -1 AND 2.5e3", "TRUE = yes", "((((", "a IN ('x''', '')", "/* */ -- \n a",
	} {
		f.Add(seed, "5")
	}
	f.Fuzz(func(t *testing.T, expression, property string) {
		s, err := Compile(expression)
		if err != nil {
			return
		}
		first := s.Matches(message{"a": property, "b": property})
		if again, err := Compile(expression + " "); err != nil || again.Matches(message{"a": property, "b": property}) != first {
			t.Errorf("%q: with a blank at the end %v, another result", expression, err)
		}
	})
}

func BenchmarkMatches(b *testing.B) {
	s, err := Compile("a > 4 AND b CONTAINS 'world' AND yes IN ('TRUE', 'x')")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Matches(sample)
	}
}
