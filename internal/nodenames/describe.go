package nodenames

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// maxAnswer is larger than 200 instances with all they can have.
const maxAnswer = 16 << 20

// described is the answer of DescribeInstances (EC2 API reference, version
// 2016-11-15).
type described struct {
	Reservations []struct {
		Instances []struct {
			ID   string `xml:"instanceId"`
			Name string `xml:"privateDnsName"`
		} `xml:"instancesSet>item"`
	} `xml:"reservationSet>item"`
	NextToken string `xml:"nextToken"`
}

// describe asks for up to maxBatch instances. They are given as a filter: an
// unknown one is missing from the answer instead of failing the whole call.
func (f *Finder) describe(ctx context.Context, ids []string) (map[string]string, error) {
	form := url.Values{"Action": {"DescribeInstances"}, "Version": {"2016-11-15"}, "Filter.1.Name": {"instance-id"}}
	for i, id := range ids {
		form.Set("Filter.1.Value."+strconv.Itoa(i+1), id)
	}
	names := map[string]string{}
	for {
		page, err := f.page(ctx, form.Encode())
		if err != nil {
			return nil, err
		}
		for _, r := range page.Reservations {
			for _, i := range r.Instances {
				names[i.ID] = i.Name
			}
		}
		if page.NextToken == "" || page.NextToken == form.Get("NextToken") {
			return names, nil
		}
		form.Set("NextToken", page.NextToken)
	}
}

func (f *Finder) page(ctx context.Context, body string) (described, error) {
	var page described
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.config.Endpoint+"/", strings.NewReader(body))
	if err != nil {
		return page, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	credentials, err := f.config.Credentials.Retrieve(ctx)
	if err != nil {
		return page, err
	}
	hash := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(ctx, credentials, request, hex.EncodeToString(hash[:]), "ec2", f.config.Region, f.config.Now()); err != nil {
		return page, err
	}
	response, err := f.config.Client.Do(request)
	if err != nil {
		return page, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return page, err
	case response.StatusCode != http.StatusOK:
		return page, fmt.Errorf("EC2 answers %s: %s", response.Status, code(text))
	}
	err = xml.Unmarshal(text, &page)
	return page, err
}

// code is the error code in an answer.
func code(text []byte) string {
	var answer struct {
		Code string `xml:"Errors>Error>Code"`
	}
	if err := xml.Unmarshal(text, &answer); err != nil || answer.Code == "" {
		return "no reason given"
	}
	return answer.Code
}
