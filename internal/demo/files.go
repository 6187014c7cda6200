package demo

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/serve"
)

// envText is the file to be sourced by people who bring their own tools. It is
// written for any POSIX shell.
func envText(e *emulator, kubeconfig string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Made by aws-auth-refresher demo. Source it:  . .demo/env
# It points AWS tools at the emulated IAM, EKS and SQS, and kubectl at the demo's cluster.
#
# STS is at the same address, for tools that need it, too:
#   aws sts get-caller-identity --endpoint-url %[1]s
#   AWS_ENDPOINT_URL_STS=%[1]s bin/aws-auth-refresher plan
#   vault write aws/config/root region=%[2]s iam_endpoint=%[1]s sts_endpoint=%[1]s \
#     access_key="$AWS_ACCESS_KEY_ID" secret_key="$AWS_SECRET_ACCESS_KEY"
# There is no AWS_ENDPOINT_URL for all services: tokens for EKS would carry it.
unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN
`, e.url, region)
	for _, v := range [][2]string{
		{"AWS_ENDPOINT_URL_IAM", e.url},
		{"AWS_ENDPOINT_URL_EKS", e.url},
		{"AWS_ENDPOINT_URL_SQS", e.url},
		{"AWS_ACCESS_KEY_ID", e.keyID},
		{"AWS_SECRET_ACCESS_KEY", e.secret},
		{"AWS_REGION", region},
		{"AWS_DEFAULT_REGION", region},
		{"AWS_EC2_METADATA_DISABLED", "true"},
		{"KUBECONFIG", kubeconfig},
	} {
		fmt.Fprintf(&b, "export %s=%s\n", v[0], shellQuote(v[1]))
	}
	return b.String()
}

func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// writePrivate writes a file that only its owner reads, whatever stood there.
func writePrivate(path string, content []byte) error { return serve.WriteFile(path, content, 0o600) }

// openLog returns a logger that writes to a new file at path, and to also, too,
// if that is not nil. The file is closed by the end of the program: libraries log
// to their last moment.
func openLog(path string, also io.Writer) (logr.Logger, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return logr.Logger{}, err
	}
	encoding := zap.NewProductionEncoderConfig()
	encoding.EncodeTime = zapcore.ISO8601TimeEncoder
	core := func(w io.Writer) zapcore.Core {
		return zapcore.NewCore(zapcore.NewConsoleEncoder(encoding), zapcore.Lock(zapcore.AddSync(w)), zap.InfoLevel)
	}
	cores := []zapcore.Core{core(f)}
	if also != nil {
		cores = append(cores, core(also))
	}
	return zapr.NewLogger(zap.New(zapcore.NewTee(cores...))), nil
}

// claim notes in dir that this process uses it, and refuses if another one that
// still runs does. release takes the note back.
func claim(dir string) (release func() error, err error) {
	note := filepath.Join(dir, "pid")
	if text, err := os.ReadFile(note); err == nil {
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err == nil && pid != os.Getpid() && syscall.Kill(pid, 0) == nil {
			return nil, fmt.Errorf("--dir: the demo with process id %d uses %s; end it first, give another --dir, or delete %s if that process is something else",
				pid, dir, note)
		}
	}
	if err := writePrivate(note, []byte(strconv.Itoa(os.Getpid())+"\n")); err != nil {
		return nil, fmt.Errorf("--dir: %w", err)
	}
	return func() error { return os.Remove(note) }, nil
}
