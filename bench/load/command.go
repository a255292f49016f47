package load

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/bench/frame"
	"github.com/apogeemq/apogee/bench/report"
	"github.com/apogeemq/apogee/server/access"
)

const (
	defaultAddress  = "127.0.0.1:10911"
	defaultTopic    = "bench"
	defaultQueues   = 8
	defaultWarmup   = 2 * time.Second
	defaultDuration = 10 * time.Second
)

// shared are the flags of both loads that need translation.
type shared struct {
	header string
	output report.Output
	self   access.ClientOptions
}

// translate puts into the target what the flags say.
func (s *shared) translate(t *Target, cmd *cobra.Command) (err error) {
	if t.Serialization, err = frame.ParseSerialization(s.header); err != nil {
		return err
	}
	t.Progress = report.Progress(cmd)
	t.Self, err = s.self.Open()
	return err
}

func (t *Target) addFlags(cmd *cobra.Command, s *shared) {
	f := cmd.Flags()
	f.StringVar(&t.Address, "addr", defaultAddress, "address of the broker")
	f.IntVar(&t.Connections, "connections", 4, "connections to the broker")
	f.StringVar(&t.Topic, "topic", defaultTopic, "topic")
	f.IntVar(&t.Queues, "queues", defaultQueues, "queues of the topic that are used")
	f.DurationVar(&t.Warmup, "warmup", defaultWarmup, "time before the measured one")
	f.DurationVar(&t.Duration, "duration", defaultDuration, "measured time")
	f.IntVar(&t.PID, "pid", 0, "process id of the broker, to measure its CPU time and memory (0: don't)")
	f.StringVar(&s.header, "header", "json", "encoding of request headers: json or rocketmq")
	s.output.AddFlags(cmd)
	s.self.AddFlags(f)
}

// SendCommand is `bench send`.
func SendCommand() *cobra.Command {
	var o SendOptions
	var s shared
	create, kind := true, ""
	cmd := &cobra.Command{
		Use: "send", Short: "Send to a RocketMQ-compatible broker and measure it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err = s.translate(&o.Target, cmd); err != nil {
				return err
			}
			if o.Kind, err = ParseKind(kind); err != nil {
				return err
			}
			if o.Delay.After > 0 {
				o.Delay.Level = 0
			}
			if !create {
				o.Create = CreateNever
			}
			result, err := Send(cmd.Context(), o)
			if err != nil {
				return err
			}
			return s.output.Write(cmd, result)
		},
	}
	o.addFlags(cmd, &s)
	f := cmd.Flags()
	f.IntVar(&o.InFlight, "inflight", 64, "requests in flight, over all connections")
	f.IntVar(&o.Size, "size", 1024, "bytes of a message body")
	f.IntVar(&o.Batch, "batch", 1, "messages in a request (more than 1: SEND_BATCH_MESSAGE)")
	f.IntVar(&o.Topics, "topics", 1, "topics of --queues queues each, written evenly; named TOPIC-000000 and up if more than 1")
	f.Int64Var(&o.Messages, "messages", 0, "stop after so many messages (0: when the time is over)")
	f.StringVar(&kind, "kind", Plain.String(), "plain; delayed; or transactional: each message is committed when its send is answered, and counts when it is in its queue")
	f.IntVar(&o.Delay.Level, "delay-level", 1, "delay level of delayed messages")
	f.DurationVar(&o.Delay.After, "deliver-after", 0, "delayed messages are due so long after they are sent, instead of a level")
	f.DurationVar(&o.Delay.Spread, "deliver-spread", 0, "and up to so much later, at random")
	f.BoolVar(&create, "create-topic", true, "create the topics first (false: they exist, or the broker creates them)")
	f.StringVar(&o.Nameserver, "namesrv", "", "nameserver that must know all topics first, and is asked for their routes during the load, as clients do")
	f.StringVar(&o.Producers, "group", "bench-producers", "producer group")
	return cmd
}

// PullCommand is `bench pull`.
func PullCommand() *cobra.Command {
	var o PullOptions
	var s shared
	cmd := &cobra.Command{
		Use: "pull", Short: "Pull from a RocketMQ-compatible broker, check the records and measure it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err = s.translate(&o.Target, cmd); err != nil {
				return err
			}
			result, err := Pull(cmd.Context(), o)
			if err != nil {
				return err
			}
			return s.output.Write(cmd, result)
		},
	}
	o.addFlags(cmd, &s)
	f := cmd.Flags()
	f.IntVar(&o.Consumers, "consumers", defaultQueues, "consumers; each has one pull in flight and its share of the queues")
	f.IntVar(&o.Count, "count", 32, "messages asked for in a pull")
	f.Int64Var(&o.Last, "last", 0, "read only so many messages at the end of each queue (0: all)")
	f.StringVar((*string)(&o.Reading), "read", string(ReadAgain), "at the end of a queue: again (start over: a warm read) or once (drain it)")
	f.StringVar(&o.Group, "group", "bench-consumers", "consumer group")
	return cmd
}
