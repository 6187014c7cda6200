package app

import (
	"fmt"
	"os"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Logging says what is logged. The levels: error, something failed that a
// person may have to look at; info, what changed in the cluster and in the
// process, a few lines an hour; debug, why each refresh did what it did.
type Logging struct {
	Level  string
	Format string
}

// BindFlags adds the flags with their defaults.
func (l *Logging) BindFlags(flags *pflag.FlagSet) {
	flags.StringVar(&l.Level, "log-level", "info", "what to log: error, info or debug")
	flags.StringVar(&l.Format, "log-format", "json", "how to log: json or console")
}

// Logger writes to standard error.
func (l *Logging) Logger() (logr.Logger, error) {
	level, err := zapcore.ParseLevel(l.Level)
	if err != nil || level != zap.ErrorLevel && level != zap.InfoLevel && level != zap.DebugLevel {
		return logr.Logger{}, fmt.Errorf("--log-level is %q; use error, info or debug", l.Level)
	}
	encoding := zap.NewProductionEncoderConfig()
	encoding.EncodeTime = zapcore.ISO8601TimeEncoder
	encoding.TimeKey = "time"
	var encoder zapcore.Encoder
	switch l.Format {
	case "json":
		encoder = zapcore.NewJSONEncoder(encoding)
	case "console":
		encoder = zapcore.NewConsoleEncoder(encoding)
	default:
		return logr.Logger{}, fmt.Errorf("--log-format is %q; use json or console", l.Format)
	}
	core := zapcore.NewCore(encoder, zapcore.Lock(os.Stderr), level)
	return zapr.NewLogger(zap.New(core)), nil
}
