package selector

import (
	"bytes"
	"slices"
)

// node is a part of a compiled expression.
type node interface {
	evaluate(Properties) (value, error)
}

// condition is a node whose result is boolean or null.
type condition interface {
	node
	condition()
}

type constant struct {
	value
	image string // as it was written
}

func (c constant) evaluate(Properties) (value, error) { return c.value, nil }

// booleanConstant is TRUE, FALSE or NULL.
type booleanConstant struct{ constant }

func (booleanConstant) condition() {}

type property string

func (p property) evaluate(m Properties) (value, error) {
	if b, found := m.Get(string(p)); found {
		return value{kind: text, text: b}, nil
	}
	return value{}, nil
}

// cast takes a property as a condition: text is false.
type cast struct{ of property }

func (cast) condition() {}

func (c cast) evaluate(m Properties) (value, error) {
	v, err := c.of.evaluate(m)
	if err != nil || v.kind == null {
		return v, err
	}
	return truth(false), nil
}

type negation struct{ of node }

// evaluate negates numbers; the negative of anything else is null. The most
// negative integers can't be written, so there is no overflow.
func (n negation) evaluate(m Properties) (value, error) {
	v, err := n.of.evaluate(m)
	if err != nil || v.kind < integer || v.kind > double {
		return value{}, err
	}
	v.number, v.float = -v.number, -v.float
	return v, nil
}

type not struct{ of node }

func (not) condition() {}

func (n not) evaluate(m Properties) (value, error) {
	v, err := n.of.evaluate(m)
	if err != nil || v.kind == null {
		return value{}, err
	}
	return v.not(), nil
}

type and struct{ left, right node }

func (and) condition() {}

func (a and) evaluate(m Properties) (value, error) {
	left, err := a.left.evaluate(m)
	if err != nil || left.isFalse() {
		return left, err
	}
	right, err := a.right.evaluate(m)
	if err != nil || right.isFalse() || left.kind != null {
		return right, err
	}
	return left, nil
}

type or struct{ left, right node }

func (or) condition() {}

func (o or) evaluate(m Properties) (value, error) {
	left, err := o.left.evaluate(m)
	if err != nil || left.isTrue() {
		return left, err
	}
	right, err := o.right.evaluate(m)
	if err != nil || right.isTrue() || left.kind != null {
		return right, err
	}
	return left, nil
}

type equal struct{ left, right node }

func (equal) condition() {}

// evaluate treats null as the original does: null = null is true, null =
// value is null, value = null is false. IS NULL is the same comparison.
func (e equal) evaluate(m Properties) (value, error) {
	left, right, err := both(e.left, e.right, m)
	switch {
	case err != nil:
		return value{}, err
	case left.kind == null && right.kind == null:
		return truth(true), nil
	case left.kind == null:
		return value{}, nil
	case right.kind == null:
		return truth(false), nil
	}
	order, err := compare(left, right)
	return truth(order == 0), err
}

// isNull is the test IS NULL; unlike equality it is never null.
type isNull struct{ of node }

func (isNull) condition() {}

func (n isNull) evaluate(m Properties) (value, error) {
	v, err := n.of.evaluate(m)
	return truth(v.kind == null), err
}

// ordered is <, <=, > or >=, which hold for the orders that it names.
type ordered struct {
	left, right    node
	below, at, top bool
}

func (ordered) condition() {}

func (o ordered) evaluate(m Properties) (value, error) {
	left, right, err := both(o.left, o.right, m)
	if err != nil || left.kind == null || right.kind == null {
		return value{}, err
	}
	if left.kind == text && right.kind == text {
		if left, err = left.asDouble(); err == nil {
			right, err = right.asDouble()
		}
	}
	order := 0
	if err == nil {
		order, err = compare(left, right)
	}
	if err != nil {
		return value{}, err
	}
	return truth(order < 0 && o.below || order == 0 && o.at || order > 0 && o.top), nil
}

func both(left, right node, m Properties) (l, r value, err error) {
	if l, err = left.evaluate(m); err == nil {
		r, err = right.evaluate(m)
	}
	return l, r, err
}

// in is false or true for text, null for everything else.
type in struct {
	of       property
	elements [][]byte // sorted
	found    bool     // the result where the text is among them
}

func (in) condition() {}

func (i in) evaluate(m Properties) (value, error) {
	v, err := i.of.evaluate(m)
	if err != nil || v.kind != text {
		return value{}, err
	}
	_, found := slices.BinarySearchFunc(i.elements, v.text, bytes.Compare)
	return truth(found == i.found), nil
}

// search is CONTAINS and its like. It is false for what isn't text, and for
// an empty search text, also with NOT.
type search struct {
	of    node
	text  []byte
	match func(text, part []byte) bool
	found bool
}

func (search) condition() {}

func (s search) evaluate(m Properties) (value, error) {
	if len(s.text) == 0 {
		return truth(false), nil
	}
	v, err := s.of.evaluate(m)
	if err != nil || v.kind != text {
		return truth(false), err
	}
	return truth(s.match(v.text, s.text) == s.found), nil
}
