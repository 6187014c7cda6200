package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
)

// TestPregeneratedFilesStay: what the API server was told beforehand stays true,
// whatever the server is told; without that the certificate fits the hostname,
// and where it listens is the server's own business.
func TestPregeneratedFilesStay(t *testing.T) {
	for _, row := range []struct {
		reason string
		change func(*authnconfig.Server)
		same   bool
	}{
		{"another hostname, pregenerated", func(s *authnconfig.Server) { s.Hostname, s.KubeconfigPregenerated = "other", true }, true},
		{"another hostname", func(s *authnconfig.Server) { s.Hostname = "other" }, false},
		{"another address", func(s *authnconfig.Server) { s.Address = "10.0.0.1" }, true},
	} {
		dir := t.TempDir()
		s := authnconfig.Server{
			StateDir: dir, GenerateKubeconfig: filepath.Join(dir, "webhook.yaml"), Hostname: "localhost", Address: "127.0.0.1", Port: 21362,
		}
		var files [2]map[string]string
		for i := range files {
			if err := writeAuthenticatorFiles(authenticatorCertificates(s, logr.Discard()), s); err != nil {
				t.Fatal(err)
			}
			files[i] = map[string]string{}
			for _, name := range []string{"cert.pem", "key.pem", "webhook.yaml"} {
				text, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				files[i][name] = string(text)
			}
			row.change(&s)
		}
		if diff := cmp.Diff(files[0], files[1]); (diff == "") != row.same {
			t.Errorf("%s: the same files %t, want %t\n%s", row.reason, diff == "", row.same, diff)
		}
	}
}
