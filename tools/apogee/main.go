// Command apogee is the one binary: broker and nameserver, and the tools around them.
// Each command has a file; what it does lives in the package it calls.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/bench"
	"github.com/apogeemq/apogee/tools/admin"
	"github.com/apogeemq/apogee/tools/consumer"
	"github.com/apogeemq/apogee/tools/log"
	"github.com/apogeemq/apogee/tools/producer"
)

// echoTime: a Ctrl-C reaches the whole process group, and make, timeout and
// some supervisors pass on what they got. Signals so close to the first one are
// its echo, not the wish to end at once.
const echoTime = 500 * time.Millisecond

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go obey(signals, cancel)
	root, understood := rootCommand()
	if cmd, err := root.ExecuteContextC(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "apogee:", err)
		if !*understood {
			fmt.Fprintf(os.Stderr, "`%s --help` shows what is possible\n", cmd.CommandPath())
		}
		os.Exit(exitStatus(err))
	}
}

// obey cancels at the first signal and ends the process at the second.
func obey(signals <-chan os.Signal, cancel func()) {
	<-signals
	first := time.Now()
	cancel()
	for range signals {
		if time.Since(first) > echoTime {
			fmt.Fprintln(os.Stderr, "apogee: second signal: ending at once")
			os.Exit(130)
		}
	}
}

// rootCommand also tells whether the command line was understood: after that
// an error is not about how the command was used.
func rootCommand() (root *cobra.Command, understood *bool) {
	understood = new(bool)
	root = &cobra.Command{
		Use:              "apogee",
		Short:            "Event-sourced message broker for RocketMQ clients",
		SilenceUsage:     true,
		SilenceErrors:    true,
		PersistentPreRun: func(*cobra.Command, []string) { *understood = true },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(serverCommands()...)
	root.AddCommand(outboxCommand(), configCommand(), versionCommand(), producer.Command(), consumer.Command(),
		admin.Command(), bench.Command(), log.Command())
	return root, understood
}
