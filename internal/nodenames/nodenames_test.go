package nodenames_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/nodenames"
)

// cloud is an EC2 that knows instances by their names.
type cloud struct {
	mu     sync.Mutex
	names  map[string]string
	asked  [][]string
	status int
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status != 0 {
		w.WriteHeader(c.status)
		fmt.Fprint(w, `<Response><Errors><Error><Code>RequestLimitExceeded</Code></Error></Errors></Response>`)
		return
	}
	if !strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/ec2/aws4_request") {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	var ids []string
	for i := 1; r.FormValue(fmt.Sprintf("Filter.1.Value.%d", i)) != ""; i++ {
		ids = append(ids, r.FormValue(fmt.Sprintf("Filter.1.Value.%d", i)))
	}
	c.asked = append(c.asked, ids)
	fmt.Fprint(w, `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet>`)
	for _, id := range ids {
		if name, ok := c.names[id]; ok {
			fmt.Fprintf(w, `<item><instancesSet><item><instanceId>%s</instanceId><privateDnsName>%s</privateDnsName></item></instancesSet></item>`, id, name)
		}
	}
	fmt.Fprint(w, `</reservationSet></DescribeInstancesResponse>`)
}

type free struct{}

func (free) Wait(context.Context) error { return nil }

func finder(t *testing.T, c *cloud, now func() time.Time) *nodenames.Finder {
	t.Helper()
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return nodenames.New(nodenames.Config{
		Endpoint: server.URL, Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", ""),
		Limiter: free{}, Now: now,
	})
}

func TestNames(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := &cloud{names: map[string]string{"i-1": "ip-10-0-0-1.ec2.internal", "i-dead": ""}}
	f := finder(t, c, func() time.Time { return now })
	for _, row := range []struct {
		reason, id, want string
		calls            int
	}{
		{"a known instance", "i-1", "ip-10-0-0-1.ec2.internal", 1},
		{"it is remembered", "i-1", "ip-10-0-0-1.ec2.internal", 1},
		{"an unknown one", "i-2", "", 2},
		{"is not remembered: it may be there a moment later", "i-2", "", 3},
		{"one without a name, which was ended", "i-dead", "", 4},
	} {
		got, err := f.PrivateDNSName(t.Context(), row.id)
		if got != row.want || (row.want == "") != errors.Is(err, nodenames.ErrUnknown) || len(c.asked) != row.calls {
			t.Errorf("%s: got %q %v after %d calls, want %q after %d", row.reason, got, err, len(c.asked), row.want, row.calls)
		}
	}
	now = now.Add(2 * time.Hour)
	c.status = http.StatusServiceUnavailable
	_, err := f.PrivateDNSName(t.Context(), "i-1")
	var temporary interface{ Temporary() bool }
	if !errors.As(err, &temporary) || !temporary.Temporary() || !strings.Contains(err.Error(), "RequestLimitExceeded") {
		t.Errorf("EC2 is not available: got %v, want a temporary error with its code", err)
	}
}

func TestManyAtOnceShareCalls(t *testing.T) {
	c := &cloud{names: map[string]string{}}
	for i := range 500 {
		c.names[fmt.Sprintf("i-%d", i)] = fmt.Sprintf("ip-%d", i)
	}
	f := finder(t, c, time.Now)
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			if got, err := f.PrivateDNSName(t.Context(), fmt.Sprintf("i-%d", i%500)); err != nil || got != fmt.Sprintf("ip-%d", i%500) {
				t.Errorf("i-%d: got %q %v", i%500, got, err)
			}
		})
	}
	all.Wait()
	ids := slices.Concat(c.asked...)
	if len(ids) != 500 {
		t.Errorf("%d instances were asked for, want each of the 500 once", len(ids))
	}
	for _, batch := range c.asked {
		if len(batch) > 200 {
			t.Errorf("a call asks for %d instances, more than a filter takes", len(batch))
		}
	}
}

func TestWhoLeavesGetsAnAnswerAtOnce(t *testing.T) {
	c := &cloud{names: map[string]string{"i-1": "ip-1"}}
	f := finder(t, c, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.PrivateDNSName(ctx, "i-1"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got, err := f.PrivateDNSName(t.Context(), "i-1"); err != nil || got != "ip-1" {
		t.Errorf("the others: got %q %v", got, err)
	}
}
