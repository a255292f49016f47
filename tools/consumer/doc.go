// Package consumer is `apogee consume`: it prints the messages of a topic and
// goes on as they come, from any RocketMQ broker.
//
// Without a group it begins where --from says and leaves no trace. With a group
// it begins where the group stopped, or at --from where the group has never
// been, and stores how far it came, once a second and at the end. It reads all
// queues and does not take part in the balance between a group's consumers, so
// it refuses a group that has consumers online.
//
// Each queue has one goroutine with one long poll under way; one goroutine
// prints. Messages of one queue are printed in order. When a broker is not in
// reach the goroutine says so and tries again every second.
package consumer
