package app

import "context"

func startLoginProxy(_ context.Context, o LoginProxyOptions, unknown []string) error {
	_, f := o.findings(unknown)
	return f.err()
}
