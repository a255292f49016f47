// Package selector compiles and evaluates the SQL92 expressions by which a
// consumer chooses messages by their properties.
//
// # Grammar
//
// It is the one of RocketMQ's filter (SelectorParser):
//
//	expression = and { OR and } .
//	and        = equality { AND equality } .
//	equality   = comparison { "=" comparison | "<>" comparison | IS [ NOT ] NULL } .
//	comparison = unary { ( ">" | ">=" | "<" | "<=" ) unary
//	                   | [ NOT ] ( CONTAINS | STARTSWITH | ENDSWITH ) text
//	                   | [ NOT ] BETWEEN unary AND unary
//	                   | [ NOT ] IN "(" text { "," text } ")" } .
//	unary      = "+" unary | "-" unary | NOT unary | primary .
//	primary    = text | integer | float | TRUE | FALSE | NULL | property | "(" expression ")" .
//
// Keywords are not case-sensitive, names of properties are. Text stands in
// single quotes, a quote in it is doubled. "--" up to the end of the line and
// "/* */" are comments. There is no arithmetic and no LIKE.
//
// # Evaluation
//
// A property is text, or null where a message doesn't have it. Logic has three
// values; a message matches if the result is true. Text that is compared with
// a number is read as a number of the same type; text compared with text by
// an order is read as two floats. Where that fails, the message doesn't
// match, whatever else the expression says: an evaluation ends with the first
// failure.
//
// # Refused when compiled
//
// An expression without a boolean result; an order on text or boolean
// constants; equality with NULL; BETWEEN with constants in the wrong order; IN
// on anything but a property; an integer beyond 64 bits; a float that is zero
// or infinite (the original's rule).
//
// The original ignores whatever follows a complete expression. Here it is an
// error, as half of a filter that is silently ignored delivers wrong messages.
// Expressions of more than BytesMax bytes or nested deeper than depthMax are
// refused.
package selector
