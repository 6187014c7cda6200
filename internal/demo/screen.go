package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// screen prints what happens: plain text, colored on a terminal.
type screen struct {
	out   io.Writer
	color bool
}

func newScreen(out io.Writer, getenv func(string) string) *screen {
	return &screen{out: out, color: isTerminal(out) && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// ANSI codes (ECMA-48 SGR).
const (
	bold   = "1"
	faint  = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (s *screen) paint(code, text string) string {
	if !s.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// say prints one line.
func (s *screen) say(format string, args ...any) {
	fmt.Fprintf(s.out, format+"\n", args...)
}

// part says what one part of the demo is.
func (s *screen) part(name, format string, args ...any) {
	s.say("  %s %s", s.paint(bold, fmt.Sprintf("%-13s", name)), fmt.Sprintf(format, args...))
}

const indent = "       "

// note says something about the present step. Further lines are indented, too.
func (s *screen) note(format string, args ...any) {
	text := strings.TrimRight(fmt.Sprintf(format, args...), "\n")
	s.say("%s", indent+strings.ReplaceAll(text, "\n", "\n"+indent))
}

// quote shows somebody's text as it is.
func (s *screen) quote(text string) {
	for line := range strings.Lines(text) {
		s.say("%s%s", indent, s.paint(faint, "| "+strings.TrimRight(line, "\r\n")))
	}
}

func (s *screen) begin(number, total int, title string) {
	s.say("\n%s", s.paint(bold, fmt.Sprintf("[%2d/%d] %s", number, total, title)))
}

func (s *screen) passed(took time.Duration) {
	s.note("%s (%s)", s.paint(green, "ok"), brief(took))
}

func (s *screen) failed(took time.Duration, err error) {
	s.note("%s (%s): %s", s.paint(red, "FAILED"), brief(took), err)
}

// brief is a duration as people say it.
func brief(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return fmt.Sprintf("%.1fs", d.Seconds())
}
