package log

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
)

func forgiveCommand() *cobra.Command {
	force := false
	cmd := &cobra.Command{
		Use:   "forgive DIR --force",
		Short: "Let a node of a group vote although it may lack what it has confirmed",
		Long: "Let a node of a group vote although it may lack what it has confirmed. It is for the case that\n" +
			"other nodes are gone for good: else start them, and nothing is lost. The node is stopped. When it\n" +
			"leads, its log says what may be missing.",
		Args: oneFolder,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !force {
				return failed(errors.New("messages that were confirmed may be lost; repeat it with --force if the other nodes are gone for good"))
			}
			return failed(forgive(cmd, logFolder(args[0]).Path()))
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "accept that confirmed messages may be lost")
	return cmd
}

func forgive(cmd *cobra.Command, dir string) error {
	d, err := disk.Open(dir)
	if err != nil {
		return err
	}
	if err := commitlog.ForgiveLoss(d); err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), "the node takes part in elections when it is started")
	return err
}
