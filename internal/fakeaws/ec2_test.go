package fakeaws_test

import (
	"encoding/xml"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// described is what a client of EC2 reads from an answer.
type described struct {
	XMLName   xml.Name
	Owners    []string `xml:"reservationSet>item>ownerId"`
	IDs       []string `xml:"reservationSet>item>instancesSet>item>instanceId"`
	States    []string `xml:"reservationSet>item>instancesSet>item>instanceState>name"`
	Names     []string `xml:"reservationSet>item>instancesSet>item>privateDnsName"`
	NextToken string   `xml:"nextToken"`
	Code      string   `xml:"Errors>Error>Code"`
	Message   string   `xml:"Errors>Error>Message"`
	ID        string   `xml:"requestId"`
	RefusalID string   `xml:"RequestID"`
}

func (b *bed) describe(t *testing.T, parameters string) (int, described) {
	t.Helper()
	w := httptest.NewRecorder()
	b.ServeHTTP(w, b.signed("POST", "/", "ec2", "Action=DescribeInstances&Version=2016-11-15"+parameters))
	var d described
	if err := xml.Unmarshal(w.Body.Bytes(), &d); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	if id := d.ID + d.RefusalID; id == "" || id != w.Header().Get("X-Amzn-Requestid") {
		t.Errorf("an answer holds its request id: %s", w.Body)
	}
	return w.Code, d
}

func (b *bed) addInstances(ids ...string) {
	for n, id := range ids {
		must(b.AddInstance(fakeaws.Instance{ID: id, PrivateDNSName: fmt.Sprintf("ip-10-0-0-%d.ec2.internal", n+1)}))
	}
}

const (
	instanceA = "i-0aaaaaaaaaaaaaaaa"
	instanceB = "i-0bbbbbbbbbbbbbbbb"
	instanceC = "i-12345678"
	nobody    = "i-0ffffffffffffffff"
)

func TestDescribeInstances(t *testing.T) {
	b := newBed(t)
	b.addInstances(instanceB, instanceA)
	must(b.AddInstance(fakeaws.Instance{ID: instanceC}))
	for _, row := range []struct {
		reason, parameters string
		ids, names         []string
		code               string
		status             int
	}{
		{"all", "", []string{instanceA, instanceB, instanceC}, []string{"ip-10-0-0-2.ec2.internal", "ip-10-0-0-1.ec2.internal", ""}, "", 200},
		{"one by its id", "&InstanceId.1=" + instanceB, []string{instanceB}, []string{"ip-10-0-0-1.ec2.internal"}, "", 200},
		{"one twice", "&InstanceId.1=" + instanceC + "&InstanceId.2=" + instanceC, []string{instanceC}, []string{""}, "", 200},
		{"by a filter", "&Filter.1.Name=private-dns-name&Filter.1.Value.1=x&Filter.1.Value.2=ip-10-0-0-2.ec2.internal", []string{instanceA}, []string{"ip-10-0-0-2.ec2.internal"}, "", 200},
		{"filters must all be met", "&Filter.1.Name=instance-state-name&Filter.1.Value.1=running&Filter.2.Name=instance-id&Filter.2.Value.1=" + nobody, nil, nil, "", 200},
		{"an unknown instance spoils the call", "&InstanceId.1=" + instanceA + "&InstanceId.2=" + nobody, nil, nil, "InvalidInstanceID.NotFound", 400},
		{"no instance id", "&InstanceId.1=alice", nil, nil, "InvalidInstanceID.Malformed", 400},
		{"an instance id in upper case", "&InstanceId.1=I-12345678", nil, nil, "InvalidInstanceID.Malformed", 400},
		{"an unknown filter", "&Filter.1.Name=color&Filter.1.Value.1=red", nil, nil, "InvalidParameterValue", 400},
		{"a filter without values", "&Filter.1.Name=instance-id", nil, nil, "InvalidParameterValue", 400},
		{"too small a page", "&MaxResults=4", nil, nil, "InvalidParameterValue", 400},
		{"too large a page", "&MaxResults=1001", nil, nil, "InvalidParameterValue", 400},
		{"a page of named instances", "&MaxResults=5&InstanceId.1=" + instanceA, nil, nil, "InvalidParameterCombination", 400},
		{"a token that is none", "&NextToken=x", nil, nil, "InvalidNextToken", 400},
		{"an unknown version", "&Version=2011-06-15", nil, nil, "MalformedQueryString", 400},
	} {
		status, got := b.describe(t, row.parameters)
		if status != row.status || got.Code != row.code {
			t.Errorf("%s: got %d %q (%s), want %d %q", row.reason, status, got.Code, got.Message, row.status, row.code)
		}
		if diff := cmp.Diff([][]string{row.ids, row.names}, [][]string{got.IDs, got.Names}); diff != "" {
			t.Errorf("%s: -want +got\n%s", row.reason, diff)
		}
		if want := strings.Repeat("running ", len(row.ids)); strings.Join(append(got.States, ""), " ") != want {
			t.Errorf("%s: got states %v", row.reason, got.States)
		}
	}
	if _, got := b.describe(t, "&InstanceId.1="+nobody); got.Message != "The instance ID '"+nobody+"' does not exist" {
		t.Errorf("got %q", got.Message)
	}
	if _, got := b.describe(t, "&InstanceId.1="+nobody+"&InstanceId.2=i-00000000"); got.Message != "The instance IDs 'i-00000000, "+nobody+"' do not exist" {
		t.Errorf("got %q", got.Message)
	}
}

func TestDescribeInstancesInPages(t *testing.T) {
	b := newBed(t)
	for range 12 {
		must(b.AddInstance(fakeaws.Instance{}))
	}
	_, whole := b.describe(t, "")
	var ids []string
	pages, token := 0, ""
	for ; pages < 10; pages++ {
		_, page := b.describe(t, "&MaxResults=5"+token)
		ids = append(ids, page.IDs...)
		if page.NextToken == "" {
			break
		}
		token = "&NextToken=" + url.QueryEscape(page.NextToken)
	}
	if diff := cmp.Diff(whole.IDs, ids); diff != "" || pages != 2 || len(ids) != 12 {
		t.Errorf("got %d pages: -want +got\n%s", pages+1, diff)
	}
}

func TestEC2Refusals(t *testing.T) {
	for _, row := range []struct {
		reason string
		fault  fakeaws.Effect
		code   string
		status int
	}{
		{"throttled", fakeaws.Throttled, "RequestLimitExceeded", 503},
		{"failing", fakeaws.Failing, "InternalError", 500},
		{"unavailable", fakeaws.Unavailable, "Unavailable", 503},
		{"denied", fakeaws.Denied, "UnauthorizedOperation", 403},
	} {
		b := newBed(t)
		b.Inject(fakeaws.Fault{Action: "DescribeInstances", Effect: row.fault})
		if status, got := b.describe(t, ""); status != row.status || got.Code != row.code {
			t.Errorf("%s: got %d %q, want %d %q", row.reason, status, got.Code, row.status, row.code)
		}
	}
	b := newBed(t)
	b.addInstances(instanceA)
	b.clock.Advance(time.Hour)
	r := b.signed("POST", "/", "ec2", "Action=DescribeInstances&Version=2016-11-15")
	b.clock.Advance(time.Hour)
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	if w.Code != 401 || !strings.Contains(w.Body.String(), "<Response><Errors><Error><Code>AuthFailure</Code>") {
		t.Errorf("an old signature: got %d %s", w.Code, w.Body)
	}
	b.Inject(fakeaws.Fault{Effect: fakeaws.OtherAccount})
	if _, got := b.describe(t, ""); cmp.Diff([]string{"999999999999"}, got.Owners) != "" {
		t.Errorf("another account owns the instance: got %v", got.Owners)
	}
	b.ClearFaults()
	b.Inject(fakeaws.Fault{Effect: fakeaws.EmptyListing})
	if status, got := b.describe(t, ""); status != 200 || len(got.IDs) != 0 {
		t.Errorf("nothing is listed: got %v", got.IDs)
	}
	if n := b.Calls("DescribeInstances"); n != 3 {
		t.Errorf("got %d calls, want 3", n)
	}
}

func TestAddInstance(t *testing.T) {
	b := newBed(t)
	made := must(b.AddInstance(fakeaws.Instance{}))
	if len(made.ID) != 19 || !strings.HasPrefix(made.ID, "i-") {
		t.Errorf("an id is made up: got %q", made.ID)
	}
	for id, want := range map[string]string{made.ID: "EntityAlreadyExists", "web-1": "InvalidInstanceID.Malformed"} {
		if _, err := b.AddInstance(fakeaws.Instance{ID: id}); err == nil || !strings.HasPrefix(err.Error(), want+":") {
			t.Errorf("%s: got %v, want %s", id, err, want)
		}
	}
}

func TestSessionOfAnInstance(t *testing.T) {
	b := newBed(t)
	b.addInstances(instanceA)
	// Only EC2 may assume it, so nobody gets a session through AssumeRole.
	role := must(b.CreateRole("/", "nodes", `{"Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}`))
	session := must(b.CreateSession("nodes", instanceA, time.Hour))
	key := aws.Credentials{AccessKeyID: session.ID, SecretAccessKey: session.Secret, SessionToken: session.Token}
	signed := func() string { return b.presignedNow(t, "sts.us-west-2.amazonaws.com", "us-west-2", key) }
	if _, _, body := b.ask(t, signed(), "application/json"); !strings.Contains(body,
		`"Arn":"arn:aws:sts::123456789012:assumed-role/nodes/`+instanceA+`","UserId":"`+role.ID+`:`+instanceA+`"`) {
		t.Errorf("the session is named by the instance: got %s", body)
	}
	b.clock.Advance(time.Hour)
	if _, _, body := b.ask(t, signed(), "application/json"); !strings.Contains(body, `"ExpiredToken"`) {
		t.Errorf("it ends at %s: got %s", session.Expires, body)
	}
	if _, err := b.CreateSession("nobody", instanceA, time.Hour); err == nil || !strings.HasPrefix(err.Error(), "NoSuchEntity:") {
		t.Errorf("a role that does not exist: got %v", err)
	}
	for _, name := range []string{"", "x", "a/b", strings.Repeat("x", 65)} {
		if _, err := b.CreateSession("nodes", name, time.Hour); err == nil || !strings.HasPrefix(err.Error(), "ValidationError:") {
			t.Errorf("no session is named %q: got %v", name, err)
		}
	}
}
