// Package producer is `apogee produce`: it sends messages from the command line
// or, one for each line, from the standard input, to any RocketMQ broker.
//
// Messages go to the queues of the topic in turn, each after the one before is
// confirmed, and one line tells where each of them is. A message that was not
// stored ends the command with an error that names it; a status that says
// stored, but with less than was asked for (FLUSH_DISK_TIMEOUT and the like),
// is printed and goes on.
//
// A topic that doesn't exist is created by the broker where brokers do so:
// then the send goes by the route of RocketMQ's template topic TBW102, as
// clients do it.
package producer
