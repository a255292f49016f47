package selector

// Properties are those of a message.
type Properties interface {
	// Get returns the value of a property, and whether the message has it.
	Get(name string) ([]byte, bool)
}

// Selector is a compiled expression. It is immutable, and may be used by many
// goroutines.
type Selector struct {
	root node
}

// Compile compiles an expression. Its error says what is wrong, and where if
// the grammar tells.
func Compile(expression string) (*Selector, error) {
	tree, err := parse(expression)
	if err != nil {
		return nil, err
	}
	root, err := tree.compile()
	if err == nil {
		root, err = asBoolean(root)
	}
	if err != nil {
		return nil, err
	}
	return &Selector{root: root}, nil
}

// Matches reports whether the expression is true for a message.
func (s *Selector) Matches(p Properties) bool {
	v, err := s.root.evaluate(p)
	return err == nil && v.isTrue()
}
