package principals

import (
	"bytes"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// WholeBodies wraps the HTTP client of an aws.Config so that request bodies
// reach net/http as what it knows to be in memory. They then go out with their
// headers at once. With the SDK's own kind of body, an answer that begins
// before the transport has looked whether more body follows makes it drop the
// connection while the answer is being read ("use of closed network
// connection"); the SDK tries again, and each listing costs an extra call. nil,
// which config.LoadDefaultConfig leaves, is the SDK's own client.
func WholeBodies(next aws.HTTPClient) aws.HTTPClient {
	if next == nil {
		next = awshttp.NewBuildableClient()
	}
	return wholeBodies{next}
}

type wholeBodies struct{ next aws.HTTPClient }

// Do sends a request whose body is small.
func (c wholeBodies) Do(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return c.next.Do(r)
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("read the request's body: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	return c.next.Do(r)
}
