// Package delay says when a message that a producer delays is due, how it is
// stored until then, and what it is when it is delivered.
//
// # When
//
// As RocketMQ 5 reads a message's properties:
//
//	DELAY             a level: 1 for the first duration of messageDelayLevel,
//	                  and so on. A level over the last one is the last one.
//	                  Times that stand beside a level don't count.
//	TIMER_DELAY_SEC   seconds from now
//	TIMER_DELAY_MS    milliseconds from now
//	TIMER_DELIVER_MS  a point in time, Unix milliseconds
//
// The first of the last three that is there counts. A time that is not in the
// future makes an ordinary message of it; one further ahead than
// timerMaxDelaySec is refused, and so is what is not a number. A message that
// carries TIMER_OUT_MS was delayed and delivered before, and is not again.
//
// RocketMQ rounds times down to whole seconds, and so delivers up to a second
// early. Here a time is kept as it is: a message is delivered at it or after.
//
// # Until then
//
// The message waits as a KindDelayed event. Its record says what RocketMQ's
// says: topic SCHEDULE_TOPIC_XXXX with queue level-1, or rmq_sys_wheel_timer
// with queue 0, and the properties REAL_TOPIC and REAL_QID (and TIMER_OUT_MS,
// the time it is due).
//
// # Then
//
// The message of the real topic and queue has the same body, born host and
// time, flags and properties: DELAY or TIMER_*, REAL_TOPIC and REAL_QID stay, as
// in RocketMQ. After a time, TIMER_ENQUEUE_MS and TIMER_DEQUEUE_MS say when it
// was stored and when it was taken up again.
package delay
