package app_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
)

// TestLoginProxyBehindNginx runs the example of docs/login-proxy.md in a real
// nginx, which asks the login proxy about each request.
func TestLoginProxyBehindNginx(t *testing.T) {
	path, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("SKIPPED: NO nginx IN THE PATH, so the example for auth_request was not tried (Debian: apt-get install nginx)")
	}
	bed := newLoginBed(t)
	address := freeAddress(t)
	bed.front = "http://" + address
	r := bed.start(t, func(o *app.LoginProxyOptions) { o.ProxyHost = "127.0.0.1:1" }) // nginx goes to the upstream server itself
	startNginx(t, path, nginxExample(t, map[string]string{
		"listen 443 ssl": "listen " + address, "http://headlamp": "http://" + bed.upstream,
		"http://login-proxy:3002": "http://" + r.auth, "http://login-proxy:3001": r.url,
	}))
	visitor := bed.browser(t)

	eventually(t, "nginx answers", func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	if p := visitor.ask(t, bed.front+"/api/v1/pods", "application/json"); p.StatusCode != http.StatusUnauthorized || !strings.Contains(p.text, `"kind":"Status"`) {
		t.Errorf("without a login: %s\n%s", p.Status, p.text)
	}
	if _, err := visitor.socket(t, "ws://"+address+"/socket"); err == nil || bed.count() > 0 {
		t.Errorf("without a login a WebSocket opens (%v), or something reached the upstream server: %d", err, bed.count())
	}
	const wanted = "/pods?all=true&ns=a%2Fb"
	if p := visitor.logIn(t, bed.front+wanted, jane); p.StatusCode != http.StatusOK || p.Request.URL.RequestURI() != wanted || p.text != "the dashboard\n" {
		t.Fatalf("the login leads to %s %s\n%s", p.Status, p.Request.URL, p.text)
	}
	checkBehindNginx(t, bed, wanted)
	if conn, err := visitor.socket(t, "ws://"+address+"/socket"); err != nil {
		t.Errorf("logged in, no WebSocket opens: %v", err)
	} else {
		_ = conn.CloseNow()
	}
	if p := visitor.get(t, bed.front+"/login"); p.StatusCode != http.StatusOK || !strings.Contains(p.text, "jane@corp.example") {
		t.Errorf("the login page: %s\n%s", p.Status, p.text)
	}
	before := bed.count()
	for _, path := range []string{"/_login_proxy_check", "/nginx"} {
		if p := bed.browser(t).get(t, bed.front+path); p.Header.Get("Authorization") != "" || bed.count() != before {
			t.Errorf("%s gives a token away, or leads upstream", path)
		}
	}
}

func checkBehindNginx(t *testing.T, bed *loginBed, wanted string) {
	t.Helper()
	r := bed.last(t)
	if r.RequestURI != wanted || len(r.Cookies()) > 0 || !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer k8s-aws-v1.") {
		t.Errorf("the upstream server was asked for %s with %q and the cookies %v", r.RequestURI, r.Header.Get("Authorization"), r.Cookies())
	}
}

// nginxExample is the server of the page, with other addresses.
func nginxExample(t *testing.T, replace map[string]string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/login-proxy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "```nginx\n")
	server, _, ends := strings.Cut(rest, "```\n")
	if !ok || !ends {
		t.Fatal("the page has no example for nginx")
	}
	for from, to := range replace {
		if !strings.Contains(server, from) {
			t.Fatalf("the example does not say %s", from)
		}
		server = strings.ReplaceAll(server, from, to)
	}
	return server
}

// startNginx runs nginx in a folder of its own until the test ends.
func startNginx(t *testing.T, path, server string) {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf("pid %s/pid;\nworker_processes 1;\nerror_log %s/error.log;\nevents {}\nhttp {\naccess_log off;\n"+
		"client_body_temp_path %[1]s/body;\nproxy_temp_path %[1]s/proxy;\nfastcgi_temp_path %[1]s/fastcgi;\nuwsgi_temp_path %[1]s/uwsgi;\nscgi_temp_path %[1]s/scgi;\n%[3]s}\n",
		dir, dir, server)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	nginx := exec.CommandContext(context.WithoutCancel(t.Context()), path, "-p", dir, "-c", config, "-g", "daemon off; master_process off;")
	nginx.Stderr = t.Output()
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = nginx.Process.Kill()
		_ = nginx.Wait()
		if log, err := os.ReadFile(filepath.Join(dir, "error.log")); err == nil && t.Failed() {
			t.Logf("nginx: %s", log)
		}
	})
}
