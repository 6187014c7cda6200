package controllers

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eks"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
)

// TestAWSAuthDoesNotWaitForEKS: while EKS does not answer, only one refresh a
// minute waits for it, and aws-auth is written all the same.
func TestAWSAuthDoesNotWaitForEKS(t *testing.T) {
	for _, row := range []struct{ reason, path string }{
		{"the mode", "/clusters/" + eksCluster},
		{"the list", "/clusters/" + eksCluster + "/access-entries"},
	} {
		w := newEntryWorld(t, TargetBoth, accessentry.ModeAPIConfigMap)
		w.awsAuth(person)
		w.rules(devRule)
		w.createUsers("tmp-foo-1")
		w.refresh()
		waited := w.hangs(row.path)
		w.createUsers("tmp-foo-2")
		w.later()
		both := person + entry("tmp-foo-1", "foo", "developers") + entry("tmp-foo-2", "foo", "developers")
		w.expectMapUsers(row.reason+": who is new gets in", both)
		w.approved("")
		w.refresh()
		w.expectMapUsers(row.reason+": who is revoked is out", person)
		w.later()
		if n := waited.Load(); n != 1 {
			t.Errorf("%s: three refreshes waited %d times", row.reason, n)
		}
	}
}

// hangs restarts with an EKS that does not answer what has that path, and counts
// how often it is asked.
func (w *entryWorld) hangs(path string) *atomic.Int32 {
	w.Helper()
	back, err := url.Parse(w.awsURL)
	if err != nil {
		w.Fatal(err)
	}
	var asked atomic.Int32
	proxy := httputil.NewSingleHostReverseProxy(back)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, path) {
			asked.Add(1)
			<-r.Context().Done()
			return
		}
		proxy.ServeHTTP(rw, r)
	}))
	w.Cleanup(server.Close)
	client := eks.New(w.eks.Options(), func(o *eks.Options) { o.BaseEndpoint = &server.URL })
	w.config.Entries = accessentry.New(accessentry.Config{
		EKS: client, Name: eksCluster, Owner: w.namespace + "/rules", Now: w.clock.Now, ReadTimeout: 300 * time.Millisecond,
	})
	w.restart()
	return &asked
}
