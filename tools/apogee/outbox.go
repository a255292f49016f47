package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/server/access"
	"github.com/apogeemq/apogee/tools/outbox/agent"
)

// outboxCommand runs the agent beside an application, and asks it.
func outboxCommand() *cobra.Command {
	var file, logFormat string
	var pairs []string
	var cluster access.ClientOptions
	cmd := &cobra.Command{
		Use: "outbox", Short: "Run the outbox beside an application, or ask it", Args: cobra.NoArgs,
		Long: "Run the outbox until SIGINT or SIGTERM. RocketMQ clients on this machine take it for their\n" +
			"nameserver. It forwards to the cluster of namesrvAddr; what no broker accepts it keeps on disk\n" +
			"and sends on later. `apogee config --role outbox` lists the keys.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := agent.Load(file, pairs)
			if err != nil {
				return err
			}
			if config.Client, err = cluster.Open(); err != nil {
				return err
			}
			log, err := newLogger(os.Stderr, logFormat, config.LogLevel)
			if err != nil {
				return err
			}
			return serveOutbox(cmd.Context(), config, log)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration `file` in RocketMQ's .conf format")
	cmd.Flags().StringArrayVar(&pairs, "set", nil, "`key=value` that wins over the file; may be repeated")
	cmd.Flags().StringVar(&logFormat, "log-format", "text", "how log lines are written: text or json")
	cluster.AddFlags(cmd.Flags())
	cmd.AddCommand(agent.Commands()...)
	return cmd
}

// serveOutbox runs the agent until the context ends, then stops it in order.
func serveOutbox(ctx context.Context, config agent.Config, log *slog.Logger) error {
	log.Info("apogee outbox", "version", versionText(), "pid", os.Getpid())
	go slowMonitor(ctx)
	a, err := agent.Start(config, agent.Options{Log: log, Fatal: func(err error) {
		log.Error("the spool can't be written any more: ending without another write", "cause", err)
		os.Exit(1)
	}})
	if err != nil {
		return err
	}
	<-ctx.Done()
	log.Info("stopping; a second signal ends the process at once")
	return a.Stop(context.WithoutCancel(ctx))
}
