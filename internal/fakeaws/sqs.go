package fakeaws

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func sqsService(s *Server) *jsonService {
	return &jsonService{
		server: s, target: "AmazonSQS",
		form: jsonForm{
			media: "application/x-amz-json-1.0",
			words: map[string]words{
				"Throttling":     {"RequestThrottled", http.StatusBadRequest},
				"ServiceFailure": {"InternalFailure", http.StatusInternalServerError},
			},
			refusal: sqsRefusal().fields,
		},
		actions: map[string]jsonAction{
			"CreateQueue":                  createQueue,
			"GetQueueUrl":                  getQueueURL,
			"DeleteQueue":                  deleteQueue,
			"GetQueueAttributes":           getQueueAttributes,
			"SendMessage":                  sendMessage,
			"ReceiveMessage":               receiveMessage,
			"DeleteMessage":                deleteMessage,
			"DeleteMessageBatch":           deleteMessageBatch,
			"ChangeMessageVisibility":      changeVisibility,
			"ChangeMessageVisibilityBatch": changeVisibilityBatch,
		},
	}
}

func sqsRefusal() rpcRefusal {
	return rpcRefusal{shapes: "com.amazonaws.sqs", query: map[string]string{
		"QueueDoesNotExist":            "AWS.SimpleQueueService.NonExistentQueue",
		"QueueNameExists":              "QueueAlreadyExists",
		"MessageNotInflight":           "AWS.SimpleQueueService.MessageNotInflight",
		"EmptyBatchRequest":            "AWS.SimpleQueueService.EmptyBatchRequest",
		"TooManyEntriesInBatchRequest": "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
		"BatchEntryIdsNotDistinct":     "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
	}}
}

// queueAttributes are those that may be set, with their defaults; the others
// of SQS are refused.
func queueAttributes() map[string]string {
	return map[string]string{
		"VisibilityTimeout": "30", "ReceiveMessageWaitTimeSeconds": "0", "DelaySeconds": "0",
		"MessageRetentionPeriod": "345600", "MaximumMessageSize": "262144", "SqsManagedSseEnabled": "true",
		"Policy": "", "RedrivePolicy": "",
	}
}

func errNoQueue() error {
	return &Error{Code: "QueueDoesNotExist", Message: "The specified queue does not exist.", Status: http.StatusBadRequest}
}

func errParameter(format string, args ...any) error {
	return &Error{Code: "InvalidParameterValueException", Message: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}

func (c *jsonCall) queueURL(name string) string {
	return "http://" + c.host + "/" + c.account.id + "/" + name
}

// queue finds a queue by its URL, of which only the path counts.
func (c *jsonCall) queue(url string) (*queue, error) {
	parts := strings.Split(url, "/")
	if len(parts) < 2 || parts[len(parts)-2] != c.account.id {
		return nil, errNoQueue()
	}
	q, ok := c.account.queues[parts[len(parts)-1]]
	if !ok {
		return nil, errNoQueue()
	}
	return q, nil
}

type queueURLResult struct {
	QueueURL string `json:"QueueUrl"`
}

func createQueue(c *jsonCall) (any, error) {
	var in struct {
		QueueName  string
		Attributes map[string]string
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if in.QueueName == "" || len(in.QueueName) > 80 || strings.Trim(in.QueueName, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return nil, errParameter("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	attributes := queueAttributes()
	for name, value := range in.Attributes {
		if _, known := attributes[name]; !known {
			return nil, &Error{Code: "InvalidAttributeName", Message: "Unknown Attribute " + name + ".", Status: http.StatusBadRequest}
		}
		attributes[name] = value
	}
	if q, ok := c.account.queues[in.QueueName]; ok && !maps.Equal(q.attributes, attributes) {
		return nil, &Error{Code: "QueueNameExists", Message: "A queue already exists with the same name and a different value for an attribute.", Status: http.StatusBadRequest}
	}
	c.account.createQueue(in.QueueName, attributes, c.now)
	return queueURLResult{c.queueURL(in.QueueName)}, nil
}

func getQueueURL(c *jsonCall) (any, error) {
	var in struct{ QueueName string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if _, ok := c.account.queues[in.QueueName]; !ok {
		return nil, errNoQueue()
	}
	return queueURLResult{c.queueURL(in.QueueName)}, nil
}

func deleteQueue(c *jsonCall) (any, error) {
	q, err := c.named()
	if err != nil {
		return nil, err
	}
	delete(c.account.queues, q.name)
	q.wake()
	return struct{}{}, nil
}

// named is the queue that the request's QueueUrl names.
func (c *jsonCall) named() (*queue, error) {
	var in struct {
		QueueURL string `json:"QueueUrl"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	return c.queue(in.QueueURL)
}

func getQueueAttributes(c *jsonCall) (any, error) {
	var in struct{ AttributeNames []string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	q, err := c.named()
	if err != nil {
		return nil, err
	}
	all := maps.Clone(q.attributes)
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	count := map[string]int{}
	for _, m := range q.messages {
		count[m.state(c.now)]++
	}
	all["ApproximateNumberOfMessages"] = strconv.Itoa(count[stateWaiting])
	all["ApproximateNumberOfMessagesNotVisible"] = strconv.Itoa(count[stateInFlight])
	all["ApproximateNumberOfMessagesDelayed"] = strconv.Itoa(count[stateDelayed])
	all["QueueArn"] = "arn:aws:sqs:us-east-1:" + c.account.id + ":" + q.name
	all["CreatedTimestamp"] = strconv.FormatInt(q.created.Unix(), 10)
	if !slices.Contains(in.AttributeNames, "All") {
		maps.DeleteFunc(all, func(name, _ string) bool { return !slices.Contains(in.AttributeNames, name) })
	}
	return struct{ Attributes map[string]string }{all}, nil
}

func sendMessage(c *jsonCall) (any, error) {
	var in struct {
		MessageBody  string
		DelaySeconds *int
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	q, err := c.named()
	if err != nil {
		return nil, err
	}
	if in.MessageBody == "" {
		return nil, &Error{Code: "MissingParameter", Message: "The request must contain the parameter MessageBody.", Status: http.StatusBadRequest}
	}
	delay := q.seconds("DelaySeconds")
	if in.DelaySeconds != nil {
		delay = time.Duration(*in.DelaySeconds) * time.Second
	}
	m := q.send(in.MessageBody, c.now, delay, c.account.ids)
	return struct {
		MessageID string `json:"MessageId"`
		MD5       string `json:"MD5OfMessageBody"`
	}{m.id, m.digest()}, nil
}

type receivedMessage struct {
	MessageID     string `json:"MessageId"`
	ReceiptHandle string
	MD5OfBody     string
	Body          string
	Attributes    map[string]string `json:",omitempty"`
}

type receiveResult struct {
	Messages []receivedMessage `json:",omitempty"`
}

// receiveMessage gives what is visible; if nothing is, the call waits.
func receiveMessage(c *jsonCall) (any, error) {
	var in struct {
		MaxNumberOfMessages, WaitTimeSeconds, VisibilityTimeout *int
		AttributeNames, MessageSystemAttributeNames             []string
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	q, err := c.named()
	if err != nil {
		return nil, err
	}
	most, wait, hidden := 1, q.seconds("ReceiveMessageWaitTimeSeconds"), q.seconds("VisibilityTimeout")
	if in.MaxNumberOfMessages != nil {
		most = *in.MaxNumberOfMessages
	}
	if in.WaitTimeSeconds != nil {
		wait = time.Duration(*in.WaitTimeSeconds) * time.Second
	}
	if in.VisibilityTimeout != nil {
		hidden = time.Duration(*in.VisibilityTimeout) * time.Second
	}
	if most < 1 || most > 10 || wait < 0 || wait > 20*time.Second || hidden < 0 || hidden > maxHidden {
		return nil, errParameter("Value for a parameter is invalid. Reason: Must be within the documented range.")
	}
	var result receiveResult
	for _, m := range q.receive(most, c.now, hidden) {
		out := receivedMessage{MessageID: m.id, ReceiptHandle: m.receipt(), MD5OfBody: m.digest(), Body: m.body}
		if asked := slices.Concat(in.AttributeNames, in.MessageSystemAttributeNames); len(asked) > 0 {
			out.Attributes = m.attributes(asked)
		}
		result.Messages = append(result.Messages, out)
	}
	if left := wait - c.waited; len(result.Messages) == 0 && left > 0 {
		c.more, c.pause = q.changed, q.next(c.now, left)
	}
	return result, nil
}

func deleteMessage(c *jsonCall) (any, error) {
	var in struct{ ReceiptHandle string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	q, err := c.named()
	if err != nil {
		return nil, err
	}
	return struct{}{}, q.remove(in.ReceiptHandle)
}

func changeVisibility(c *jsonCall) (any, error) {
	var in visibilityEntry
	if err := c.read(&in); err != nil {
		return nil, err
	}
	q, err := c.named()
	if err != nil {
		return nil, err
	}
	return struct{}{}, q.hide(in, c.now)
}

type visibilityEntry struct {
	ID                string `json:"Id"`
	ReceiptHandle     string
	VisibilityTimeout int
}

type batchFailure struct {
	ID          string `json:"Id"`
	Code        string
	Message     string
	SenderFault bool
}

type batchSuccess struct {
	ID string `json:"Id"`
}

type batchResult struct {
	Successful []batchSuccess
	Failed     []batchFailure
}

func deleteMessageBatch(c *jsonCall) (any, error) {
	return c.batch(func(q *queue, e visibilityEntry) error { return q.remove(e.ReceiptHandle) })
}

func changeVisibilityBatch(c *jsonCall) (any, error) {
	return c.batch(func(q *queue, e visibilityEntry) error { return q.hide(e, c.now) })
}

// batch does something to each of up to ten messages.
func (c *jsonCall) batch(do func(*queue, visibilityEntry) error) (any, error) {
	var in struct{ Entries []visibilityEntry }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	q, err := c.named()
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, e := range in.Entries {
		ids[e.ID] = true
	}
	switch {
	case len(in.Entries) == 0:
		return nil, &Error{Code: "EmptyBatchRequest", Message: "There should be at least one entry in the request.", Status: http.StatusBadRequest}
	case len(in.Entries) > 10:
		return nil, &Error{Code: "TooManyEntriesInBatchRequest", Message: "Maximum number of entries per request are 10.", Status: http.StatusBadRequest}
	case len(ids) < len(in.Entries):
		return nil, &Error{Code: "BatchEntryIdsNotDistinct", Message: "Two or more batch entries have the same id.", Status: http.StatusBadRequest}
	}
	result := batchResult{Successful: []batchSuccess{}, Failed: []batchFailure{}}
	for _, e := range in.Entries {
		if err := do(q, e); err != nil {
			result.Failed = append(result.Failed, batchFailure{e.ID, asError(err).Code, asError(err).Message, true})
			continue
		}
		result.Successful = append(result.Successful, batchSuccess{e.ID})
	}
	slices.SortFunc(result.Successful, func(a, b batchSuccess) int { return cmp.Compare(a.ID, b.ID) })
	return result, nil
}
