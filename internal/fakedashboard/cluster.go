package fakedashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxAnswer bounds what is read of the API server's answer.
const maxAnswer = 8 << 20

// cluster asks an API server in other people's names.
type cluster struct {
	url    string
	client *http.Client
}

// userInfo is a user as the API server names it (authentication.k8s.io/v1).
type userInfo struct {
	Username string   `json:"username"`
	Groups   []string `json:"groups"`
}

// Namespace is one that the token may list.
type Namespace struct {
	Name    string `json:"name"`
	Phase   string `json:"phase"`
	Created string `json:"created"`
}

// whoIs is the SelfSubjectReview of the bearer. refused is the API server's
// sentence if it does not accept it.
func (c cluster) whoIs(ctx context.Context, bearer string) (who userInfo, refused string, err error) {
	var answer struct {
		Status struct {
			UserInfo userInfo `json:"userInfo"`
		} `json:"status"`
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/apis/authentication.k8s.io/v1/selfsubjectreviews",
		strings.NewReader(`{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`))
	if err != nil {
		return userInfo{}, "", err
	}
	refused, err = c.ask(req, bearer, &answer)
	return answer.Status.UserInfo, refused, err
}

// namespaces lists them. forbidden is the API server's sentence if it does not.
func (c cluster) namespaces(ctx context.Context, bearer string) (list []Namespace, forbidden string, err error) {
	var answer struct {
		Items []struct {
			Metadata struct {
				Name    string `json:"name"`
				Created string `json:"creationTimestamp"`
			} `json:"metadata"`
			Status struct {
				Phase string `json:"phase"`
			} `json:"status"`
		} `json:"items"`
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/api/v1/namespaces", http.NoBody)
	if err != nil {
		return nil, "", err
	}
	forbidden, err = c.ask(req, bearer, &answer)
	list = []Namespace{}
	for _, item := range answer.Items {
		list = append(list, Namespace{Name: item.Metadata.Name, Phase: item.Status.Phase, Created: item.Metadata.Created})
	}
	return list, forbidden, err
}

// ask sends the request with the bearer and decodes a good answer into v. refused
// is the message of the metav1.Status of a 401 or 403.
func (c cluster) ask(req *http.Request, bearer string, v any) (refused string, err error) {
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if bearer != "" {
		req.Header.Set("Authorization", bearer)
	}
	answer, err := c.client.Do(req)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close() //nolint:errcheck // what was read of it is complete
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return "", err
	}
	var status struct {
		Message string `json:"message"`
	}
	switch answer.StatusCode {
	case http.StatusOK, http.StatusCreated:
		return "", json.Unmarshal(body, v)
	case http.StatusUnauthorized, http.StatusForbidden:
		if err := json.Unmarshal(body, &status); err != nil || status.Message == "" {
			return http.StatusText(answer.StatusCode), nil
		}
		return status.Message, nil
	default:
		return "", fmt.Errorf("the API server answered %s", answer.Status)
	}
}
