package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakedashboard"
)

// maxPage bounds what a visitor reads of a page.
const maxPage = 1 << 20

// visitor is somebody with a browser, as far as pages without scripts need one:
// it keeps cookies, follows redirects and sends forms.
type visitor struct {
	client *http.Client
	at     *url.URL // of the page
	status int
	page   string
}

func newVisitor() (*visitor, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{} // without the environment's proxy
	return &visitor{client: &http.Client{Jar: jar, Transport: transport, Timeout: 30 * time.Second}}, nil
}

// open goes to an address.
func (v *visitor) open(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	return v.load(req)
}

func (v *visitor) load(req *http.Request) error {
	req.Header.Set("Accept", "text/html,*/*;q=0.8")
	answer, err := v.client.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // what was read of it is complete
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxPage))
	if err != nil {
		return err
	}
	v.at, v.status, v.page = answer.Request.URL, answer.StatusCode, string(body)
	return nil
}

var (
	formElement   = regexp.MustCompile(`(?s)<form method="post" action="([^"]*)">(.*?)</form>`)
	hiddenElement = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	buttonElement = regexp.MustCompile(`(?s)<button [^>]*name="([^"]*)" value="([^"]*)"[^>]*>(.*?)</button>`)
	titleElement  = regexp.MustCompile(`<title>([^<]*)</title>`)
)

// title is what the page is called, less the name of the cluster.
func (v *visitor) title() string {
	found := titleElement.FindStringSubmatch(v.page)
	if found == nil {
		return fmt.Sprintf("a page without a title, status %d", v.status)
	}
	title, _, _ := strings.Cut(html.UnescapeString(found[1]), " · ")
	return title
}

// press sends the form that has a button with this text, by that button, with
// further fields filled in.
func (v *visitor) press(ctx context.Context, text string, fields url.Values) error {
	for _, form := range formElement.FindAllStringSubmatch(v.page, -1) {
		if !strings.Contains(form[2], text) {
			continue
		}
		filled := url.Values{}
		for _, hidden := range hiddenElement.FindAllStringSubmatch(form[2], -1) {
			filled.Set(html.UnescapeString(hidden[1]), html.UnescapeString(hidden[2]))
		}
		for _, button := range buttonElement.FindAllStringSubmatch(form[2], -1) {
			if strings.Contains(button[3], text) {
				filled.Set(html.UnescapeString(button[1]), html.UnescapeString(button[2]))
			}
		}
		maps.Copy(filled, fields)
		action, err := v.at.Parse(html.UnescapeString(form[1]))
		if err != nil {
			return err
		}
		return v.send(ctx, action, filled)
	}
	return fmt.Errorf("%q (%s) has no button %q", v.title(), v.at, text)
}

func (v *visitor) send(ctx context.Context, action *url.URL, fields url.Values) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, action.String(), strings.NewReader(fields.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", v.at.Scheme+"://"+v.at.Host)
	return v.load(req)
}

// sees is nil if that is the page's title.
func (v *visitor) sees(title string) error {
	if got := v.title(); got != title {
		return fmt.Errorf("the page at %s is %q (status %d), not %q", v.at, got, v.status, title)
	}
	return nil
}

var errSignedOut = errors.New("401: no session")

// facts asks the dashboard as whom it knows the visitor. The error is errSignedOut
// if the proxy in front lets nobody through.
func (v *visitor) facts(ctx context.Context, base string) (fakedashboard.Facts, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/whoami", http.NoBody)
	if err != nil {
		return fakedashboard.Facts{}, err
	}
	req.Header.Set("Accept", "application/json")
	answer, err := v.client.Do(req)
	if err != nil {
		return fakedashboard.Facts{}, err
	}
	defer answer.Body.Close() //nolint:errcheck // what was read of it is complete
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return fakedashboard.Facts{}, errSignedOut
	default:
		return fakedashboard.Facts{}, fmt.Errorf("the dashboard answered %s", answer.Status)
	}
	var f fakedashboard.Facts
	err = json.NewDecoder(io.LimitReader(answer.Body, maxPage)).Decode(&f)
	return f, err
}

// echo opens the dashboard's WebSocket, sends a message and returns the greeting,
// having seen the message come back.
func (v *visitor) echo(ctx context.Context, base string) (conn *websocket.Conn, greeting string, err error) {
	//nolint:bodyclose // of a successful dial it need not be closed
	conn, _, err = websocket.Dial(ctx, base+"/echo", &websocket.DialOptions{
		HTTPClient: v.client, HTTPHeader: http.Header{"Origin": {base}},
	})
	if err != nil {
		return nil, "", err
	}
	const message = "ping"
	_, hello, err := conn.Read(ctx)
	if err == nil {
		err = conn.Write(ctx, websocket.MessageText, []byte(message))
	}
	var back []byte
	if err == nil {
		_, back, err = conn.Read(ctx)
	}
	if err == nil && string(back) != message {
		err = fmt.Errorf("the WebSocket echoed %q", back)
	}
	if err != nil {
		return nil, "", errors.Join(err, conn.CloseNow())
	}
	return conn, string(hello), nil
}
