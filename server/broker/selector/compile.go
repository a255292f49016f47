package selector

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

func refuse(format string, a ...any) error {
	return fmt.Errorf("compile SQL92 expression: "+format, a...)
}

func describe(n node) string {
	switch n := n.(type) {
	case constant:
		return n.image
	case booleanConstant:
		return n.image
	case property:
		return string(n)
	}
	return "a condition"
}

// asBoolean is n where a condition is needed.
func asBoolean(n node) (node, error) {
	switch n := n.(type) {
	case condition:
		return n, nil
	case property:
		return cast{of: n}, nil
	}
	return nil, refuse("%s has no boolean value", describe(n))
}

func (o *orNode) compile() (node, error) {
	left, err := o.Left.compile()
	for _, r := range o.Rest {
		right, rightErr := r.compile()
		left, right, err = conditions(left, err, right, rightErr)
		if err != nil {
			return nil, err
		}
		left = or{left: left, right: right}
	}
	return left, err
}

func (a *andNode) compile() (node, error) {
	left, err := a.Left.compile()
	for _, r := range a.Rest {
		right, rightErr := r.compile()
		left, right, err = conditions(left, err, right, rightErr)
		if err != nil {
			return nil, err
		}
		left = and{left: left, right: right}
	}
	return left, err
}

// conditions takes two results as conditions; the first error wins.
func conditions(left node, leftErr error, right node, rightErr error) (node, node, error) {
	if leftErr != nil {
		return nil, nil, leftErr
	}
	if rightErr != nil {
		return nil, nil, rightErr
	}
	left, err := asBoolean(left)
	if err != nil {
		return nil, nil, err
	}
	right, err = asBoolean(right)
	return left, right, err
}

func (e *equalityNode) compile() (node, error) {
	left, err := e.Left.compile()
	for _, r := range e.Rest {
		if err == nil {
			left, err = r.compile(left)
		}
	}
	return left, err
}

func (r *equalityRight) compile(left node) (node, error) {
	if r.Right == nil {
		if r.NotNull {
			return not{of: isNull{of: left}}, nil
		}
		return isNull{of: left}, nil
	}
	right, err := r.Right.compile()
	if err != nil {
		return nil, err
	}
	for _, operand := range []node{left, right} {
		if c, ok := operand.(booleanConstant); ok && c.kind == null {
			return nil, refuse("%s NULL is never true; write IS NULL or IS NOT NULL", r.Sign)
		}
	}
	_, leftBoolean := left.(booleanConstant)
	if _, rightOther := right.(constant); leftBoolean && rightOther {
		return nil, refuse("%s can't be compared with %s", describe(left), describe(right))
	}
	if r.Sign == "<>" {
		return not{of: equal{left: left, right: right}}, nil
	}
	return equal{left: left, right: right}, nil
}

func (c *comparisonNode) compile() (node, error) {
	left, err := c.Left.compile()
	for _, r := range c.Rest {
		if err == nil {
			left, err = r.compile(left)
		}
	}
	return left, err
}

func (r *comparisonRight) compile(left node) (node, error) {
	switch {
	case r.Right != nil:
		right, err := r.Right.compile()
		if err != nil {
			return nil, err
		}
		return compileOrder(left, r.Sign, right)
	case r.Search != "":
		return search{of: left, text: []byte(unquote(r.Text)), match: searches[r.Search], found: !r.Not}, nil
	case r.Low != nil:
		return r.compileBetween(left)
	}
	return r.compileIn(left)
}

var searches = map[string]func(text, part []byte) bool{
	"CONTAINS": bytes.Contains, "STARTSWITH": bytes.HasPrefix, "ENDSWITH": bytes.HasSuffix,
}

func compileOrder(left node, sign string, right node) (node, error) {
	for _, operand := range []node{left, right} {
		_, isCondition := operand.(condition)
		if c, ok := operand.(constant); isCondition || ok && c.kind == text {
			return nil, refuse("%s can't stand beside %s: only numbers and properties have an order", describe(operand), sign)
		}
	}
	o := ordered{left: left, right: right}
	o.below = sign[0] == '<'
	o.top = sign[0] == '>'
	o.at = len(sign) == 2
	return o, nil
}

func (r *comparisonRight) compileBetween(left node) (node, error) {
	low, err := r.Low.compile()
	if err != nil {
		return nil, err
	}
	high, err := r.High.compile()
	if err != nil {
		return nil, err
	}
	signs := [2]string{">=", "<="}
	if r.Not {
		signs = [2]string{"<", ">"}
	}
	below, err := compileOrder(left, signs[0], low)
	if err != nil {
		return nil, err
	}
	above, err := compileOrder(left, signs[1], high)
	if err != nil {
		return nil, err
	}
	if r.Not {
		return or{left: below, right: above}, nil
	}
	lowest, lowConstant := low.(constant)
	highest, highConstant := high.(constant)
	if lowConstant && highConstant {
		if order, _ := compare(highest.value, lowest.value); order < 0 {
			return nil, refuse("BETWEEN %s AND %s: the first must not be above the second", lowest.image, highest.image)
		}
	}
	return and{left: below, right: above}, nil
}

func (r *comparisonRight) compileIn(left node) (node, error) {
	of, ok := left.(property)
	if !ok {
		return nil, refuse("IN needs a property on its left, not %s", describe(left))
	}
	i := in{of: of, found: !r.Not}
	for _, e := range r.Elements {
		i.elements = append(i.elements, []byte(unquote(e)))
	}
	slices.SortFunc(i.elements, bytes.Compare)
	return i, nil
}

func (u *unaryNode) compile() (node, error) {
	if u.Primary != nil {
		return u.Primary.compile()
	}
	of, err := u.Operand.compile()
	if err != nil {
		return nil, err
	}
	switch u.Sign {
	case "+":
		return of, nil
	case "-":
		return negation{of: of}, nil
	}
	if of, err = asBoolean(of); err != nil {
		return nil, err
	}
	return not{of: of}, nil
}

func (p *primaryNode) compile() (node, error) {
	switch {
	case p.Text != nil:
		return constant{value: value{kind: text, text: []byte(unquote(*p.Text))}, image: *p.Text}, nil
	case p.Integer != nil:
		return compileInteger(*p.Integer)
	case p.Float != nil:
		return compileFloat(*p.Float)
	case p.Name != nil:
		return property(*p.Name), nil
	case p.Inner != nil:
		return p.Inner.compile()
	}
	c := constant{image: *p.Word}
	if c.image != "NULL" {
		c.value = truth(c.image == "TRUE")
	}
	return booleanConstant{c}, nil
}

func compileInteger(image string) (node, error) {
	n, err := strconv.ParseInt(strings.TrimRight(image, "lL"), 10, 64)
	if err != nil {
		return nil, refuse("integer %s, at most %d is allowed", image, int64(math.MaxInt64))
	}
	c := constant{value: value{kind: long, number: n}, image: image}
	if n <= math.MaxInt32 {
		c.kind = integer
	}
	return c, nil
}

func compileFloat(image string) (node, error) {
	f, err := strconv.ParseFloat(image, 64)
	if err != nil || f == 0 {
		return nil, refuse("float %s, it must be between %g and %g", image, math.SmallestNonzeroFloat64, math.MaxFloat64)
	}
	return constant{value: value{kind: double, float: f}, image: image}, nil
}

// unquote is the text that a literal stands for.
func unquote(literal string) string {
	return strings.ReplaceAll(literal[1:len(literal)-1], "''", "'")
}
