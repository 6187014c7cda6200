package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

func authenticatorVerify() *cobra.Command {
	var flags authnFlags
	var token, output string
	var regions []string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Say who made a token, or why it is refused",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "" && output != "json" {
				return fmt.Errorf("--output is %q; use json or leave it out", output)
			}
			file, err := flags.resolve(cmd.Flags())
			if err != nil {
				return err
			}
			if token == "-" {
				text, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), 1<<20))
				if err != nil {
					return fmt.Errorf("--token: %w", err)
				}
				token = strings.TrimSpace(string(text))
			}
			account, err := ownAWSConfig(cmd.Context(), "", logr.Discard())
			if err != nil {
				return err
			}
			verifier, err := ekstoken.NewVerifier(ekstoken.VerifierConfig{
				ClusterID: file.ClusterID, Partition: file.Server.Partition, Region: account.Region, STSRegions: regions,
			})
			if err != nil {
				return err
			}
			id, err := verifier.Verify(cmd.Context(), token)
			if refused, ok := errors.AsType[*ekstoken.Refused](err); ok && refused.Code == "SignatureDoesNotMatch" {
				return fmt.Errorf("%w; most likely it was made for another cluster than %q, or with a wrong secret key", err, file.ClusterID)
			}
			if err != nil {
				return err
			}
			return printIdentity(cmd.OutOrStdout(), id, output == "json")
		},
	}
	flags.bindCluster(cmd.Flags())
	cmd.Flags().StringVarP(&token, "token", "t", "", "the `token`; - reads it from standard input")
	cmd.Flags().StringVarP(&output, "output", "o", "", "json, or nothing for text")
	cmd.Flags().StringSliceVar(&regions, "sts-region", nil, "further `regions` whose STS the token may come from")
	_ = cmd.MarkFlagRequired("token")
	return cmd
}

func printIdentity(w io.Writer, id ekstoken.Identity, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(id)
	}
	_, err := fmt.Fprintf(w, "ARN:          %s\nCanonicalARN: %s\nAccountID:    %s\nUserID:       %s\nSessionName:  %s\nAccessKeyID:  %s\n",
		id.ARN, id.CanonicalARN, id.AccountID, id.UserID, id.SessionName, id.AccessKeyID)
	return err
}
