// Package client reaches nameservers and brokers for the command-line tools:
// Apogee's and Apache RocketMQ's alike.
//
// # Whom it asks
//
// With --namesrv, which is also taken from the environment variable
// NAMESRV_ADDR, it asks the nameservers in turn until one answers, and reaches
// brokers by the addresses that they tell. With --broker it asks that one
// broker and nothing else, for machines from which brokers are not reached by
// the address that they registered, and for brokers without a nameserver.
// Options is the one place for everything about connections.
//
// # Answers
//
// Every call has a time limit. An answer with a code other than 0 is an error
// of type Refusal with the code, its name and the remark. A connection that
// has failed is made anew by the next call.
//
// RocketMQ writes maps with numbers or objects as keys into its JSON, which no
// JSON parser takes. Decode reads such text: keys become strings that hold
// their JSON.
package client
