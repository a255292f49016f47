// Command apogee-chaos breaks clusters of the apogee binary while official
// clients use them. It is a binary of its own: RocketMQ's Go client, which it
// links, would cost every server some 8 MB of memory.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/bench/chaos"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	root := &cobra.Command{
		Use:           "apogee-chaos",
		Short:         "Break clusters of apogee while official clients use them",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(chaos.Command(), chaos.FailoverCommand(), chaos.JoinCommand())
	err := root.ExecuteContext(ctx)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "apogee-chaos:", err)
		os.Exit(1)
	}
}
