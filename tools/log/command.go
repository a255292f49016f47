package log

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// Exit statuses of the commands.
const (
	statusTorn    = 1
	statusCorrupt = 2
	statusFailed  = 3
)

// failure is an error that ends the process with a status of its own.
type failure struct {
	status int
	cause  error
}

func (f *failure) Error() string { return f.cause.Error() }
func (f *failure) Unwrap() error { return f.cause }

// ExitStatus is the status that the process should end with.
func (f *failure) ExitStatus() int { return f.status }

// failed gives an error without a status that of a failure.
func failed(err error) error {
	if f := (*failure)(nil); err == nil || errors.As(err, &f) {
		return err
	}
	return &failure{statusFailed, err}
}

// Command is `apogee log`. Its errors have a method ExitStatus() int.
func Command() *cobra.Command {
	cmd := &cobra.Command{Use: "log", Short: "Check and show a log folder"}
	cmd.AddCommand(verifyCommand(), dumpCommand(), forgiveCommand())
	for _, c := range append(cmd.Commands(), cmd) {
		c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return failed(err) })
	}
	return cmd
}

// oneFolder is the argument of all commands.
func oneFolder(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return failed(fmt.Errorf("%d folders are given; name one: the log folder or the store's root", len(args)))
	}
	return nil
}
