package app

import (
	"strings"
	"testing"

	"github.com/aws/smithy-go/logging"
	"github.com/go-logr/logr/funcr"
)

// TestSDKLog: what the AWS SDK has to say is a line of our log, for debugging.
func TestSDKLog(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-west-1")
	for verbosity, want := range []string{"", `"level"=1 "msg"="the AWS SDK says" "kind"="WARN" "message"="falling back to v1"`} {
		var got strings.Builder
		log := funcr.New(func(_, args string) { got.WriteString(args) }, funcr.Options{Verbosity: verbosity})
		for _, load := range []func() (logging.Logger, error){
			func() (logging.Logger, error) { c, err := AWSConfig(t.Context(), log); return c.Logger, err },
			func() (logging.Logger, error) { c, err := ownAWSConfig(t.Context(), "", log); return c.Logger, err },
		} {
			got.Reset()
			logger, err := load()
			if err != nil {
				t.Fatal(err)
			}
			logger.Logf(logging.Warn, "falling back to %s", "v1")
			if got.String() != want {
				t.Errorf("verbosity %d: logged %q, want %q", verbosity, got.String(), want)
			}
		}
	}
}
