package bench

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// pairs is how often both programs are run; the results are medians.
const pairs = 20

// BenchmarkTokenCommand measures whole processes that print one token, from
// start to end, in pairs that take turns at going first.
func BenchmarkTokenCommand(b *testing.B) {
	emulator := fakeaws.New(fakeaws.Config{AdminUser: "alice", AccessKeyID: keys().AccessKeyID, SecretAccessKey: keys().SecretAccessKey})
	role, err := emulator.CreateRole("/", "Admin", "")
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(emulator)
	b.Cleanup(server.Close)
	home := b.TempDir()
	config := filepath.Join(home, "config")
	writeFile(b, config, fmt.Appendf(nil, "[profile alice]\naws_access_key_id = %s\naws_secret_access_key = %s\n"+
		"[profile admin]\nrole_arn = %s\nsource_profile = alice\n", keys().AccessKeyID, keys().SecretAccessKey, role.ARN))
	both := sides{ours: program(b, ourClient), reference: program(b, reference), environment: []string{
		"HOME=" + home, "AWS_REGION=" + region, "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ENDPOINT_URL_STS=" + server.URL, "AWS_CONFIG_FILE=" + config,
	}}
	withKeys := both.with("AWS_ACCESS_KEY_ID="+keys().AccessKeyID, "AWS_SECRET_ACCESS_KEY="+keys().SecretAccessKey)

	b.Run("keys", func(b *testing.B) { withKeys.race(b, "token", "-i", clusterID) })

	// A profile with a role. Ours keeps the token, the reference the role's credentials.
	b.Run("cached", func(b *testing.B) {
		both.with("AWS_PROFILE=admin").race(b, "token", "-i", clusterID, "--cache")
		if calls := emulator.Calls("AssumeRole"); calls != 2 {
			b.Errorf("the role was assumed %d times, want once by either", calls)
		}
	})

	// What is done before main, as GODEBUG=inittrace=1 tells.
	b.Run("inits", func(b *testing.B) { withKeys.with("GODEBUG=inittrace=1").traceInits(b) })

	b.Run("size", func(b *testing.B) {
		for b.Loop() {
			ours := megabytes(b, both.ours)
			if ours > 20 {
				b.Errorf("%s has %.1f MB, more than 20", ourClient, ours)
			}
			b.ReportMetric(ours, "ours-MB")
			b.ReportMetric(megabytes(b, both.reference), "reference-MB")
		}
		b.ReportMetric(0, "ns/op")
	})
}

// sides are the two programs and the environment that they run in.
type sides struct {
	ours, reference string
	environment     []string
}

func (s sides) with(variables ...string) sides {
	s.environment = slices.Concat(s.environment, variables)
	return s
}

func (s sides) race(b *testing.B, arguments ...string) {
	b.Helper()
	for _, path := range []string{s.ours, s.reference} { // also fills the caches
		output, _ := s.run(b, path, arguments...)
		if !strings.Contains(output, `"token":"k8s-aws-v1.`) {
			b.Fatalf("%s printed %s", filepath.Base(path), output)
		}
	}
	var ours, reference, ratios []float64
	for b.Loop() {
		for i := range pairs {
			order := []string{s.ours, s.reference}
			if i%2 == 1 {
				slices.Reverse(order)
			}
			took := map[string]float64{}
			for _, path := range order {
				begun := time.Now()
				s.run(b, path, arguments...)
				took[path] = time.Since(begun).Seconds() * 1000
			}
			ours = append(ours, took[s.ours])
			reference = append(reference, took[s.reference])
			ratios = append(ratios, took[s.ours]/took[s.reference])
		}
	}
	b.ReportMetric(0, "ns/op") // would be that of all pairs
	b.ReportMetric(median(ours), "ours-ms")
	b.ReportMetric(median(reference), "reference-ms")
	b.ReportMetric(100*median(ratios), "%ofreference")
}

// run runs a program and gives what it printed and what it complained about.
func (s sides) run(b *testing.B, path string, arguments ...string) (output, complaints string) {
	b.Helper()
	var out, err bytes.Buffer
	cmd := exec.CommandContext(b.Context(), path, arguments...)
	cmd.Env, cmd.Stdout, cmd.Stderr = s.environment, &out, &err
	if failure := cmd.Run(); failure != nil {
		b.Fatalf("%s: %v\n%s", filepath.Base(path), failure, err.Bytes())
	}
	return out.String(), err.String()
}

// initLine is a line of https://pkg.go.dev/runtime#hdr-Environment_Variables,
// inittrace: "init internal/bytealg @0.008 ms, 0 ms clock, 0 bytes, 0 allocs".
var initLine = regexp.MustCompile(`(?m)^init \S+ @\S+ ms, (\S+) ms clock,`)

func (s sides) traceInits(b *testing.B) {
	b.Helper()
	for b.Loop() {
		for _, side := range []struct{ name, path string }{{"ours", s.ours}, {"reference", s.reference}} {
			var count int
			var totals []float64
			for range pairs {
				_, trace := s.run(b, side.path, "token", "-i", clusterID)
				lines := initLine.FindAllStringSubmatch(trace, -1)
				total := 0.0
				for _, line := range lines {
					clock, err := strconv.ParseFloat(line[1], 64)
					if err != nil {
						b.Fatal(err)
					}
					total += clock
				}
				count = len(lines)
				totals = append(totals, total)
			}
			b.ReportMetric(float64(count), side.name+"-packages")
			b.ReportMetric(median(totals), side.name+"-ms")
		}
	}
	b.ReportMetric(0, "ns/op")
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func megabytes(tb testing.TB, path string) float64 {
	tb.Helper()
	info, err := os.Stat(path)
	if err != nil {
		tb.Fatal(err)
	}
	return float64(info.Size()) / 1e6
}
