package ekstoken

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func identityJSON(account, arn, userID string) string {
	return fmt.Sprintf(`{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Account":%q,"Arn":%q,"UserId":%q}}}`, account, arn, userID)
}

func TestVerifyReadsIdentities(t *testing.T) {
	const account = "123456789012"
	for _, row := range []struct {
		reason, partition, userID string
		want                      Identity
	}{
		{"a user stays as it is, path and all", "", "AIDAALICE", Identity{
			ARN: aliceARN, CanonicalARN: aliceARN, UserID: "AIDAALICE",
		}},
		{"the session of a role becomes the role", "", "AROAX:i-0123456789abcdef0", Identity{
			ARN: "arn:aws:sts::123456789012:assumed-role/Node/i-0123456789abcdef0", CanonicalARN: "arn:aws:iam::123456789012:role/Node",
			UserID: "AROAX", SessionName: "i-0123456789abcdef0",
		}},
		{"an e-mail address as the session's name", "", "AROAX:a=b,c+d@corp.com", Identity{
			ARN: "arn:aws:sts::123456789012:assumed-role/Admin/a=b,c+d@corp.com", CanonicalARN: "arn:aws:iam::123456789012:role/Admin",
			UserID: "AROAX", SessionName: "a=b,c+d@corp.com",
		}},
		{"a federated user keeps the account in its id", "", "123456789012:bob", Identity{
			ARN: "arn:aws:sts::123456789012:federated-user/bob", CanonicalARN: "arn:aws:sts::123456789012:federated-user/bob",
			UserID: "123456789012:bob",
		}},
		{"root", "", account, Identity{ARN: "arn:aws:iam::123456789012:root", CanonicalARN: "arn:aws:iam::123456789012:root", UserID: account}},
		{"another partition", "aws-us-gov", "AROAX:s1", Identity{
			ARN: "arn:aws-us-gov:sts::123456789012:assumed-role/X/s1", CanonicalARN: "arn:aws-us-gov:iam::123456789012:role/X",
			UserID: "AROAX", SessionName: "s1",
		}},
	} {
		t.Run(row.reason, func(t *testing.T) {
			partition := row.partition
			if partition == "" {
				partition = "aws"
			}
			row.want.AccountID, row.want.PrincipalID = account, row.userID
			got, err := readIdentity([]byte(identityJSON(account, row.want.ARN, row.userID)), partition)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestVerifySortsAnswersByWhoMustAct(t *testing.T) {
	fault := func(code string) string {
		return `{"Error":{"Code":"` + code + `","Message":"m","Type":"Sender"},"RequestId":"r"}`
	}
	for _, row := range []struct {
		reason string
		status int
		body   string
		want   error // what the error must wrap; a *Refused is compared whole
	}{
		{"an unknown key", 403, fault("InvalidClientTokenId"), &Refused{Code: "InvalidClientTokenId", Status: 403}},
		{"a wrong signature", 403, fault("SignatureDoesNotMatch"), &Refused{Code: "SignatureDoesNotMatch", Status: 403}},
		{"an expired session", 400, fault("ExpiredToken"), &Refused{Code: "ExpiredToken", Status: 400}},
		{"throttling", 400, fault("Throttling"), ErrThrottled},
		{"throttling by status", 429, "slow down", ErrThrottled},
		{"throttling from a fleet that is down otherwise", 503, fault("RequestLimitExceeded"), ErrThrottled},
		{"trouble inside STS says nothing about the token", 500, fault("InternalFailure"), errStatus},
		{"a bare failure", 503, "", errStatus},
		{"a proxy's page", 403, "<html>blocked</html>", errStatus},
		{"a refusal in another format", 403, "<ErrorResponse><Error><Code>InvalidClientTokenId</Code></Error></ErrorResponse>", errStatus},
		{"a code that would spoil a log", 403, fault(`a\nb`), errStatus},
		{"a code without end", 403, fault(strings.Repeat("a", 65)), errStatus},
		{"another success", 204, alice, errStatus},
		{"XML", 200, "<GetCallerIdentityResponse/>", errNotJSON},
		{"HTML", 200, "<!doctype html>", errNotJSON},
		{"nothing", 200, "", errNotJSON},
		{"other JSON", 200, `{"GetCallerIdentityResponse":{}}`, errNotJSON},
		{"JSON of other types", 200, `{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Account":123456789012}}}`, errNotJSON},
		{"two answers", 200, alice + alice, errNotJSON},
		{"10 MB", 200, strings.Repeat(" ", 10<<20) + alice, errTooLong},
		{"no ARN of an identity", 200, identityJSON("123456789012", "arn:aws:s3:::bucket", "AIDAX"), errARN},
		{"a role itself, which calls nobody", 200, identityJSON("123456789012", "arn:aws:iam::123456789012:role/X", "AROAX:s"), errARN},
		{"an ARN that would break out of a line", 200, identityJSON("123456789012", "arn:aws:iam::123456789012:user/a\nb", "AIDAX"), errARN},
		{"another partition", 200, identityJSON("123456789012", "arn:aws-cn:iam::123456789012:user/x", "AIDAX"), errPartition},
		{"another account's ARN", 200, identityJSON("123456789012", "arn:aws:iam::210987654321:user/x", "AIDAX"), errAccount},
		{"an account that is none", 200, identityJSON("12345678901", "arn:aws:iam::12345678901:user/x", "AIDAX"), errAccount},
		{"no account", 200, identityJSON("", "arn:aws:iam::123456789012:user/x", "AIDAX"), errAccount},
		{"no user id", 200, identityJSON("123456789012", aliceARN, ""), errUserID},
		{"a user id that would break out of a line", 200, identityJSON("123456789012", aliceARN, "AIDA\n"), errUserID},
		{"a user id without end", 200, identityJSON("123456789012", aliceARN, strings.Repeat("A", 257)), errUserID},
		{"a role's id without its session", 200, identityJSON("123456789012", "arn:aws:sts::123456789012:assumed-role/X/s1", "AROAX"), errUserID},
		{"a role's id of another session", 200, identityJSON("123456789012", "arn:aws:sts::123456789012:assumed-role/X/s1", "AROAX:s2"), errUserID},
		{"a session of nobody", 200, identityJSON("123456789012", "arn:aws:sts::123456789012:assumed-role/X/s1", ":s1"), errUserID},
	} {
		t.Run(row.reason, func(t *testing.T) {
			v := verifierOf(t, sts(func(*http.Request) (*http.Response, error) { return answer(row.status, row.body), nil }))
			id, err := v.Verify(t.Context(), golden(t))
			want, isRefused := errors.AsType[*Refused](row.want)
			got, gotRefused := errors.AsType[*Refused](err)
			switch {
			case isRefused != gotRefused || isRefused && *got != *want:
				t.Errorf("got error %v, want %v", err, row.want)
			case !isRefused && !errors.Is(err, row.want):
				t.Errorf("got error %v, want %v", err, row.want)
			case !isRefused && !errors.Is(row.want, ErrThrottled) && !errors.Is(err, ErrUnavailable):
				t.Errorf("error %v does not say that STS is not available", err)
			}
			if id.ARN != "" {
				t.Errorf("got identity %+v beside the error", id)
			}
		})
	}
}

func TestVerifySendsWhatItCheckedAndNothingElse(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		var got http.Header
		var protocol int
		transport := serve(t, http2, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got, protocol = r.Header.Clone(), r.ProtoMajor
			got.Set("Request", r.Method+" https://"+r.Host+r.URL.String()+string(body))
			_, _ = io.WriteString(w, alice)
		})
		id, err := verifierOf(t, transport).Verify(t.Context(), replaced(t, "Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=AWS4-HMAC-SHA256&Version=2011-06-15"))
		if err != nil {
			t.Fatal(err)
		}
		want := http.Header{
			"Request":      {"GET " + plain(t, golden(t))},
			"X-K8s-Aws-Id": {"test-cluster"},
			"Accept":       {"application/json"},
			"User-Agent":   {"aws-auth-refresher"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the request must be built from the checked values, in our order (-want +got):\n%s", diff)
		}
		if (protocol == 2) != http2 {
			t.Errorf("got HTTP/%d where HTTP/2 is offered: %t", protocol, http2)
		}
		wantID := Identity{
			ARN: aliceARN, CanonicalARN: aliceARN, AccountID: "123456789012", UserID: "AIDAALICE", PrincipalID: "AIDAALICE",
			AccessKeyID: goldenConfig(t).Credentials.AccessKeyID,
		}
		if diff := cmp.Diff(wantID, id); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

func TestVerifyFollowsNoRedirect(t *testing.T) {
	var requests atomic.Int32
	transport := serve(t, false, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		w.Header().Set("Location", "https://sts.us-west-2.amazonaws.com/elsewhere")
		w.WriteHeader(http.StatusFound)
		_, _ = io.WriteString(w, alice)
	})
	_, err := verifierOf(t, transport).Verify(t.Context(), golden(t))
	if !errors.Is(err, ErrUnavailable) || requests.Load() != 1 {
		t.Errorf("got error %v after %d requests, want one request and ErrUnavailable", err, requests.Load())
	}
}

func TestErrorsOfVerifyDoNotQuoteTheToken(t *testing.T) {
	signature := plain(t, golden(t))[len(plain(t, golden(t)))-64:]
	hangUp := serve(t, false, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for _, token := range []string{golden(t), golden(t) + "=", encode("http" + plain(t, golden(t))), replaced(t, "Version", "Wersion")} {
		_, err := verifierOf(t, hangUp).Verify(t.Context(), token)
		if err == nil || strings.Contains(err.Error(), signature) || strings.Contains(err.Error(), token) {
			t.Errorf("got error %v", err)
		}
	}
}
