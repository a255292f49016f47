package selector

import (
	"fmt"
	"strings"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

const (
	// BytesMax bounds an expression.
	BytesMax = 32 << 10

	// depthMax bounds nesting: of parentheses and of signs and NOTs in a row.
	depthMax = 100
)

// The order of rules matters: a float begins like an integer.
var tokens = lexer.MustSimple([]lexer.SimpleRule{
	{Name: "Space", Pattern: `[ \t\n\r\f]+`},
	{Name: "Comment", Pattern: `--[^\n\r]*[\n\r]|/\*[^*]*\*+([^*/][^*]*\*+)*/`},
	{Name: "Float", Pattern: `[0-9]+\.[0-9]*([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+`},
	{Name: "Integer", Pattern: `0|[1-9][0-9]*[lL]?`},
	{Name: "Text", Pattern: `'(''|[^'])*'`},
	{Name: "Keyword", Pattern: `[^\x00-\x{10FFFF}]`}, // matches nothing: keyword makes them out of names
	{Name: "Name", Pattern: `[a-zA-Z_$][a-zA-Z0-9_$]*`},
	{Name: "Sign", Pattern: `<>|<=|>=|[=<>(),+-]`},
})

type orNode struct {
	Left *andNode   `parser:"@@"`
	Rest []*andNode `parser:"('OR' @@)*"`
}

type andNode struct {
	Left *equalityNode   `parser:"@@"`
	Rest []*equalityNode `parser:"('AND' @@)*"`
}

type equalityNode struct {
	Left *comparisonNode  `parser:"@@"`
	Rest []*equalityRight `parser:"@@*"`
}

type equalityRight struct {
	Sign    string          `parser:"(  @('='|'<>')"`
	Right   *comparisonNode `parser:"   @@"`
	NotNull bool            `parser:"| 'IS' @'NOT'?"`
	Null    bool            `parser:"   @'NULL' )"`
}

type comparisonNode struct {
	Left *unaryNode         `parser:"@@"`
	Rest []*comparisonRight `parser:"@@*"`
}

type comparisonRight struct {
	Sign     string     `parser:"(  @('>='|'<='|'>'|'<')"`
	Right    *unaryNode `parser:"   @@"`
	Not      bool       `parser:"| @'NOT'?"`
	Search   string     `parser:"   ( @('CONTAINS'|'STARTSWITH'|'ENDSWITH')"`
	Text     string     `parser:"     @Text"`
	Low      *unaryNode `parser:"   | 'BETWEEN' @@"`
	High     *unaryNode `parser:"     'AND' @@"`
	Elements []string   `parser:"   | 'IN' '(' @Text (',' @Text)* ')' ) )"`
}

type unaryNode struct {
	Sign    string       `parser:"(  @('+'|'-'|'NOT')"`
	Operand *unaryNode   `parser:"   @@"`
	Primary *primaryNode `parser:"| @@ )"`
}

type primaryNode struct {
	Text    *string `parser:"(  @Text"`
	Integer *string `parser:"| @Integer"`
	Float   *string `parser:"| @Float"`
	Word    *string `parser:"| @('TRUE'|'FALSE'|'NULL')"`
	Name    *string `parser:"| @Name"`
	Inner   *orNode `parser:"| '(' @@ ')' )"`
}

var grammar = participle.MustBuild[orNode](
	participle.Lexer(tokens),
	participle.Elide("Space", "Comment"),
	participle.Map(keyword, "Name"),
	participle.UseLookahead(2),
)

var keywords = map[string]bool{
	"NOT": true, "AND": true, "OR": true, "BETWEEN": true, "IN": true, "TRUE": true, "FALSE": true, "NULL": true, "IS": true,
	"CONTAINS": true, "STARTSWITH": true, "ENDSWITH": true,
}

// keyword tells keywords from names and writes them in capitals.
func keyword(t lexer.Token) (lexer.Token, error) {
	if upper := strings.ToUpper(t.Value); keywords[upper] {
		t.Type, t.Value = keywordType, upper
	}
	return t, nil
}

// parse reads an expression within the limits.
func parse(expression string) (*orNode, error) {
	if len(expression) > BytesMax {
		return nil, fmt.Errorf("compile SQL92 expression: %d bytes, at most %d are allowed", len(expression), BytesMax)
	}
	if err := checkDepth(expression); err != nil {
		return nil, err
	}
	tree, err := grammar.ParseString("", expression)
	if err != nil {
		return nil, fmt.Errorf("compile SQL92 expression: %w", err)
	}
	return tree, nil
}

// checkDepth bounds what the parser, which descends recursively, will meet.
func checkDepth(expression string) error {
	lex, err := tokens.LexString("", expression)
	if err != nil {
		return fmt.Errorf("compile SQL92 expression: %w", err)
	}
	open, signs := 0, 0
	for {
		t, err := lex.Next()
		if err != nil {
			return fmt.Errorf("compile SQL92 expression: %w", err)
		}
		if t.EOF() {
			return nil
		}
		switch {
		case t.Type == spaceType || t.Type == commentType:
			continue
		case t.Value == "(":
			open++
		case t.Value == ")":
			open--
		case t.Value == "+" || t.Value == "-" || strings.EqualFold(t.Value, "NOT"):
			signs++
		default:
			signs = 0
		}
		if open+signs > depthMax {
			return fmt.Errorf("compile SQL92 expression: nested deeper than %d at %v", depthMax, t.Pos)
		}
	}
}

var (
	spaceType   = tokens.Symbols()["Space"]
	commentType = tokens.Symbols()["Comment"]
	keywordType = tokens.Symbols()["Keyword"]
)
