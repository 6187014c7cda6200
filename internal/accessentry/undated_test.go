package accessentry_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eks"
)

// TestEntryWithoutDateStays: an EKS that does not say when an entry was made is
// no reason to delete it.
func TestEntryWithoutDateStays(t *testing.T) {
	b := newBed(t)
	date := regexp.MustCompile(`"createdAt":[^,}]*,?`)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		b.aws.ServeHTTP(answer, r)
		maps.Copy(w.Header(), answer.Header())
		w.Header().Del("Content-Length")
		w.WriteHeader(answer.Code)
		if _, err := w.Write(date.ReplaceAll(answer.Body.Bytes(), nil)); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	b.client = eks.New(eks.Options{
		Region: "eu-central-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIAADMIN", "secret", ""),
	})
	b.restart()
	ann := wants(b.user("ann"), "devs")
	b.reconcile(ann)
	for range 3 {
		b.pass(2 * time.Minute)
		b.restart()
		b.reconcile(ann)
	}
	if n := b.aws.Calls("DeleteAccessEntry"); n > 0 {
		t.Errorf("an entry that is right was deleted %d times", n)
	}
}
