package broker

import (
	"strings"
	"sync"

	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/broker/selector"
	"github.com/apogeemq/apogee/server/remoting"
)

const (
	expressionSQL = "SQL92"

	// selectorsBytesMax bounds the expressions that are kept compiled.
	selectorsBytesMax = 4 << 20
)

// compiled is an expression's selector, or why it has none.
type compiled struct {
	selector *selector.Selector
	err      error
}

// selectors keeps compiled SQL92 expressions: a consumer sends or names its
// expression with each pull.
type selectors struct {
	mu    sync.Mutex
	known map[string]compiled
	bytes int // of the known expressions
}

// get compiles an expression unless it is known.
func (s *selectors) get(expression []byte) (*selector.Selector, error) {
	s.mu.Lock()
	c, found := s.known[string(expression)]
	s.mu.Unlock()
	if !found {
		c.selector, c.err = selector.Compile(string(expression))
		s.keep(strings.Clone(string(expression)), c)
	}
	return c.selector, c.err
}

// keep makes room by dropping any others: those that are in use come back.
func (s *selectors) keep(expression string, c compiled) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, found := s.known[expression]; found || len(expression) > selector.BytesMax {
		return
	}
	if s.known == nil {
		s.known = make(map[string]compiled)
	}
	for other := range s.known {
		if s.bytes+len(expression) <= selectorsBytesMax {
			break
		}
		delete(s.known, other)
		s.bytes -= len(other) + compiledBytes
	}
	s.known[expression] = c
	s.bytes += len(expression) + compiledBytes
}

// compiledBytes is what an entry takes at least.
const compiledBytes = 512

// choose makes f take all messages for which a SQL92 expression is true. code
// is of the refusal of an expression that is wrong.
func (s *selectors) choose(f *filter, expression []byte, code int32) error {
	chosen, err := s.get(expression)
	if err != nil {
		return refuse(code, "%v", err)
	}
	f.all, f.selector = true, chosen
	return nil
}

// chosen reports whether a record's properties are what a consumer wants.
func chosen(s *selector.Selector, payload []byte) (bool, error) {
	r, _, err := record.Decode(payload)
	if err != nil {
		return false, err
	}
	return s.Matches(record.Properties(r.Properties)), nil
}

// checkExpression refuses what the broker could not filter by.
func (b *Broker) checkExpression(kind string, expression []byte) error {
	switch {
	case kind == "" || kind == expressionTag:
		return nil
	case kind != expressionSQL || !b.config.PropertyFilter:
		return refuseExpression(kind)
	}
	_, err := b.puller.selectors.get(expression)
	if err != nil {
		return refuse(remoting.ResponseSubscriptionParseFailed, "%v", err)
	}
	return nil
}
