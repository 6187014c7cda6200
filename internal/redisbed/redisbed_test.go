package redisbed_test

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/redisbed"
)

// ask sends one inline command and returns the first line of the answer.
func ask(t *testing.T, addr, command string) (string, error) {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close() //nolint:errcheck // nothing was left to send
	if err := conn.SetDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line), err
}

func TestServer(t *testing.T) {
	s := redisbed.Start(t)
	expect := func(command, want, reason string) {
		t.Helper()
		if got, err := ask(t, s.Addr(), command); err != nil || got != want {
			t.Errorf("%s answered %q, %v, want %q: %s", command, got, err, want, reason)
		}
	}
	expect("PING", "+PONG", "it runs")
	expect("SET a b", "+OK", "it can be written")
	s.Freeze()
	if got, err := ask(t, s.Addr(), "PING"); err == nil {
		t.Errorf("a frozen server answered %q", got)
	}
	s.Thaw()
	expect("PING", "+PONG", "it goes on")
	s.Stop()
	if got, err := ask(t, s.Addr(), "PING"); err == nil {
		t.Errorf("a stopped server answered %q", got)
	}
	s.Stop()
	s.Restart()
	expect("GET a", "$-1", "nothing is kept")
}

func TestArguments(t *testing.T) {
	s := redisbed.Start(t, "--requirepass", "secret")
	if got, err := ask(t, s.Addr(), "PING"); err != nil || !strings.HasPrefix(got, "-NOAUTH") {
		t.Errorf("PING answered %q, %v, want a refusal without the password", got, err)
	}
}
