package fakeaws_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

func (b *bed) sqs(secret string) *sqs.Client {
	return sqs.New(sqs.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(b.url), HTTPClient: wholeBodies{}, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(adminKey, secret, ""),
	})
}

// queueBed is an emulator with a queue.
type queueBed struct {
	*bed
	*testing.T
	client *sqs.Client
	queue  *string
}

func newQueueBed(t *testing.T) *queueBed {
	t.Helper()
	b := &queueBed{bed: newBed(t), T: t}
	b.client = b.sqs(adminSecret)
	out, err := b.client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("q")})
	if err != nil {
		t.Fatal(err)
	}
	b.queue = out.QueueUrl
	return b
}

func (b *queueBed) receive() []types.Message {
	b.Helper()
	out, err := b.client.ReceiveMessage(b.Context(), &sqs.ReceiveMessageInput{QueueUrl: b.queue, MaxNumberOfMessages: 10, VisibilityTimeout: 30})
	if err != nil {
		b.Fatal(err)
	}
	return out.Messages
}

func (b *queueBed) send(body string) {
	b.Helper()
	if err := b.SendMessage("q", body); err != nil {
		b.Fatal(err)
	}
}

func (b *queueBed) remove(receipt *string) {
	b.Helper()
	if _, err := b.client.DeleteMessage(b.Context(), &sqs.DeleteMessageInput{QueueUrl: b.queue, ReceiptHandle: receipt}); err != nil {
		b.Fatal(err)
	}
}

func TestMessagesAreHiddenUntilTheirTimeIsUp(t *testing.T) {
	b := newQueueBed(t)
	b.send("hello")
	first := b.receive()
	if len(first) != 1 || *first[0].Body != "hello" {
		t.Fatalf("received %v", first)
	}
	if again := b.receive(); len(again) != 0 {
		t.Errorf("a received message is visible: %v", again)
	}
	b.clock.Advance(31 * time.Second)
	second := b.receive()
	if len(second) != 1 || *second[0].MessageId != *first[0].MessageId || *second[0].ReceiptHandle == *first[0].ReceiptHandle {
		t.Fatalf("after its time the message comes again, with a new receipt handle; got %v", second)
	}
	b.remove(first[0].ReceiptHandle)
	if _, hidden := b.QueueLength("q"); hidden != 1 {
		t.Error("an old receipt handle deleted the message")
	}
	if _, err := b.client.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: b.queue, ReceiptHandle: second[0].ReceiptHandle}); err != nil {
		t.Fatal(err)
	}
	third := b.receive()
	if len(third) != 1 {
		t.Fatal("a message whose visibility timeout was set to 0 is not visible")
	}
	out, err := b.client.DeleteMessageBatch(t.Context(), &sqs.DeleteMessageBatchInput{QueueUrl: b.queue, Entries: []types.DeleteMessageBatchRequestEntry{
		{Id: aws.String("a"), ReceiptHandle: third[0].ReceiptHandle}, {Id: aws.String("b"), ReceiptHandle: aws.String("nonsense")},
	}})
	if err != nil || len(out.Successful) != 1 || len(out.Failed) != 1 || *out.Failed[0].Code != "ReceiptHandleIsInvalid" {
		t.Errorf("batch: %v %v", out, err)
	}
	if visible, hidden := b.QueueLength("q"); visible+hidden != 0 {
		t.Errorf("%d and %d messages are left", visible, hidden)
	}
}

func TestLongPollingWaitsForAMessage(t *testing.T) {
	b := newQueueBed(t)
	got := make(chan error, 1)
	go func() {
		out, err := b.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: b.queue, WaitTimeSeconds: 20})
		if err == nil && len(out.Messages) != 1 {
			err = errors.New("an empty answer before the time")
		}
		got <- err
	}()
	for b.Calls("ReceiveMessage") == 0 {
		select {
		case err := <-got:
			t.Fatalf("answered too early: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	b.send("hello")
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	out, err := b.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: b.queue, WaitTimeSeconds: 1})
	if err != nil || len(out.Messages) != 0 {
		t.Errorf("a poll without messages ends empty: %v %v", out, err)
	}
}

func TestQueueAttributesCountMessages(t *testing.T) {
	b := newQueueBed(t)
	b.send("a")
	b.send("b")
	if _, err := b.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: b.queue}); err != nil {
		t.Fatal(err)
	}
	found, err := b.client.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("q")})
	if err != nil || *found.QueueUrl != *b.queue || !strings.HasSuffix(*found.QueueUrl, b.QueuePath("q")) {
		t.Fatalf("GetQueueUrl: %v %v", found, err)
	}
	out, err := b.client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: b.queue, AttributeNames: []types.QueueAttributeName{
		"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "QueueArn",
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"ApproximateNumberOfMessages": "1", "ApproximateNumberOfMessagesNotVisible": "1", "QueueArn": "arn:aws:sqs:us-east-1:123456789012:q"}
	if diff := cmp.Diff(want, out.Attributes); diff != "" {
		t.Error(diff)
	}
}

func TestSQSRefusals(t *testing.T) {
	b := newQueueBed(t)
	elsewhere := aws.String(b.url + "/123456789012/nowhere")
	receive := func(c *sqs.Client, queue *string) error {
		_, err := c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: queue})
		return err
	}
	var missing *types.QueueDoesNotExist
	if err := receive(b.client, elsewhere); !errors.As(err, &missing) {
		t.Errorf("a queue that does not exist: %v", err)
	}
	if err := receive(b.sqs("wrong"), b.queue); code(err) != "InvalidSignature" {
		t.Errorf("a wrong secret: %v", err)
	}
	for effect, want := range map[fakeaws.Effect]string{
		fakeaws.Denied: "AccessDenied", fakeaws.Throttled: "RequestThrottled", fakeaws.Failing: "InternalFailure", fakeaws.Unavailable: "ServiceUnavailable",
	} {
		b.Inject(fakeaws.Fault{Action: "ReceiveMessage", Times: 1, Effect: effect})
		if err := receive(b.client, b.queue); code(err) != want {
			t.Errorf("%s: got %v, want %s", effect, err, want)
		}
	}
}

// TestEventsOfIAM checks the parts of an event that tell what happened.
func TestEventsOfIAM(t *testing.T) {
	b := newQueueBed(t)
	b.SendEvents(fakeaws.EventRule{Queue: "q", Delay: time.Minute})
	name := aws.String("tmp-1")
	made, err := b.iam.CreateUser(t.Context(), &iam.CreateUserInput{UserName: name, Path: aws.String("/x/")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.iam.TagUser(t.Context(), &iam.TagUserInput{UserName: name, Tags: []iamtypes.Tag{{Key: aws.String("team"), Value: aws.String("a b")}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.iam.GetUser(t.Context(), &iam.GetUserInput{UserName: name}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.iam.DeleteUser(t.Context(), &iam.DeleteUserInput{UserName: aws.String("nobody")}); code(err) != "NoSuchEntity" {
		t.Fatal(err)
	}
	if err := b.DeleteUser("tmp-1"); err != nil {
		t.Fatal(err)
	}
	if early := b.receive(); len(early) != 0 {
		t.Errorf("events came before their time: %v", early)
	}
	b.clock.Advance(time.Minute)
	var got []any
	for _, m := range b.receive() {
		var event struct {
			Source, Account string
			Detail          struct {
				EventName                           string
				RequestParameters, ResponseElements map[string]any
			}
		}
		if err := json.Unmarshal([]byte(*m.Body), &event); err != nil {
			t.Fatal(err)
		}
		if user, ok := event.Detail.ResponseElements["user"].(map[string]any); ok {
			delete(user, "createDate")
		}
		got = append(got, event.Source+" "+event.Account+" "+event.Detail.EventName, event.Detail.RequestParameters, event.Detail.ResponseElements)
	}
	var none map[string]any
	want := []any{
		"aws.iam 123456789012 CreateUser", map[string]any{"userName": "tmp-1", "path": "/x/"},
		map[string]any{"user": map[string]any{"arn": *made.User.Arn, "userName": "tmp-1", "userId": *made.User.UserId, "path": "/x/"}},
		"aws.iam 123456789012 TagUser", map[string]any{"userName": "tmp-1", "tags": []any{map[string]any{"key": "team", "value": "a b"}}}, none,
		"aws.iam 123456789012 DeleteUser", map[string]any{"userName": "tmp-1"}, none,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events of what changed, and of nothing else\n%s", diff)
	}
}
