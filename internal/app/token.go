package app

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/execplugin"
)

// Token is the command that makes tokens for EKS clusters, for kubectl.
func Token() *cobra.Command {
	var options execplugin.Options
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print a token for an EKS cluster (a credential plugin for kubectl)",
		Long:  execplugin.About,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return execplugin.Token(cmd.Context(), execplugin.Config{
				Options: options,
				In:      cmd.InOrStdin(),
				Out:     cmd.OutOrStdout(),
				Err:     cmd.ErrOrStderr(),
			})
		},
	}
	options.BindFlags(cmd.Flags(), os.Args[0])
	return cmd
}
