// Package outbox is what producers have in common that must get rid of their
// messages whatever the cluster does: the message, the seam through which it
// is sent, and what the outcome of a send means.
//
// # Messages
//
// A [Message] has a unique id and a time of birth, chosen once. Both go with
// it through every attempt, so that a consumer can tell a message that was
// sent twice from two messages. What brokers would refuse for good is found by
// [Message.Check], before a message is sent or kept anywhere.
//
// Messages of one [Message.Stream] keep their order: those with one sharding
// key, else those for one queue, else those of one topic. Streams are
// independent of each other.
//
// # Outcomes
//
// A [Sender] makes one attempt to hand a message over. Its error belongs to
// one of three classes, which decide what happens to the message:
//
//	class           what is known              what to do
//	ErrRefused      refused for good           quarantine it, go on behind it
//	ErrNotAccepted  nothing was stored         try later
//	ErrInDoubt      it may be stored           try again: possible duplicate
//
// An error of no class is in doubt, as an ended context is: nothing is assumed.
package outbox
