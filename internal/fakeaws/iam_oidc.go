package fakeaws

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	maxProviders   = 100
	maxClientIDs   = 100
	maxThumbprints = 5
)

// oidcProvider is an OpenID Connect provider that an account trusts.
type oidcProvider struct {
	issuer      string // the URL as it was given
	name        string // the URL without its scheme, as the ARN has it
	clientIDs   []string
	thumbprints []string
	tags        []tag
	created     time.Time
}

func (p *oidcProvider) arn(accountID string) string {
	return "arn:aws:iam::" + accountID + ":oidc-provider/" + p.name
}

// provider finds the provider with this name, nil if the account has none.
func (a *account) provider(name string) *oidcProvider {
	i := slices.IndexFunc(a.providers, func(p *oidcProvider) bool { return p.name == name })
	if i < 0 {
		return nil
	}
	return a.providers[i]
}

func (a *account) createProvider(p *oidcProvider) error {
	if a.provider(p.name) != nil {
		return errExists("Provider with url %s already exists.", p.issuer)
	}
	if len(a.providers) >= maxProviders {
		return errQuota("OpenIdConnectProvidersPerAccount", maxProviders)
	}
	a.providers = append(a.providers, p)
	slices.SortFunc(a.providers, func(x, y *oidcProvider) int { return strings.Compare(x.name, y.name) })
	return nil
}

func providerActions() map[string]action {
	return map[string]action{
		"CreateOpenIDConnectProvider": createProvider,
		"GetOpenIDConnectProvider":    getProvider,
		"DeleteOpenIDConnectProvider": deleteProvider,
		"ListOpenIDConnectProviders":  listProviders,
	}
}

type providerResult struct {
	ARN  string `xml:"OpenIDConnectProviderArn"`
	Tags *list[tag]
}

func createProvider(c *call) (any, error) {
	p := &oidcProvider{
		issuer: c.params.get("Url"), created: c.now.Truncate(time.Second),
		clientIDs: c.params.members("ClientIDList"), thumbprints: c.params.members("ThumbprintList"),
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	tags, err := c.params.tags()
	if err != nil {
		return nil, err
	}
	p.tags = sortTags(tags)
	if err := c.account.createProvider(p); err != nil {
		return nil, err
	}
	return providerResult{p.arn(c.accountID), tagsXML(p.tags)}, nil
}

// check holds the provider to the limits of CreateOpenIDConnectProvider and
// gives it its name.
func (p *oidcProvider) check() error {
	u, err := url.Parse(p.issuer)
	switch {
	case err != nil || len(p.issuer) > 255 || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errInvalidInput("Invalid Open ID Connect Provider URL")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return errValidation("Invalid Open ID Connect Provider URL: it must begin with https://")
	case len(p.clientIDs) > maxClientIDs:
		return errQuota("ClientIdsPerOpenIdConnectProvider", maxClientIDs)
	case len(p.thumbprints) > maxThumbprints:
		return errInvalidInput(fmt.Sprintf("Thumbprint list must contain fewer than %d entries.", maxThumbprints+1))
	}
	for _, id := range p.clientIDs {
		if id == "" || len(id) > 255 {
			return errConstraint("clientIDList", "Member must satisfy constraint: [Member must have length less than or equal to 255, Member must have length greater than or equal to 1]")
		}
	}
	for _, thumbprint := range p.thumbprints {
		if _, err := hex.DecodeString(thumbprint); err != nil || len(thumbprint) != 40 {
			return errConstraint("thumbprintList", "Member must satisfy constraint: [Member must have length less than or equal to 40, Member must have length greater than or equal to 40]")
		}
	}
	p.name = strings.TrimPrefix(strings.TrimPrefix(p.issuer, "https://"), "http://")
	return nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (c *call) namedProvider() (*oidcProvider, error) {
	arn := c.params.get("OpenIDConnectProviderArn")
	prefix := "arn:aws:iam::" + c.account.id + ":oidc-provider/"
	name, ok := strings.CutPrefix(arn, prefix)
	if !ok {
		return nil, errInvalidInput("Invalid ARN: " + arn)
	}
	if p := c.account.provider(name); p != nil {
		return p, nil
	}
	return nil, errNoSuchEntity("OpenIDConnect Provider not found for arn %s", arn)
}

type fullProviderResult struct {
	URL            string `xml:"Url"`
	ClientIDList   *list[string]
	ThumbprintList *list[string]
	CreateDate     string
	Tags           *list[tag]
}

func getProvider(c *call) (any, error) {
	p, err := c.namedProvider()
	if err != nil {
		return nil, err
	}
	same := func(s string) string { return s }
	return fullProviderResult{
		URL: p.name, CreateDate: xmlTime(p.created), Tags: tagsXML(p.tags),
		ClientIDList: listOf(p.clientIDs, same), ThumbprintList: listOf(p.thumbprints, same),
	}, nil
}

// deleteProvider succeeds, as in AWS, if there is nothing to delete.
func deleteProvider(c *call) (any, error) {
	p, err := c.namedProvider()
	if err != nil {
		if asError(err).Code == "NoSuchEntity" {
			return nil, nil
		}
		return nil, err
	}
	c.account.providers = slices.DeleteFunc(c.account.providers, func(q *oidcProvider) bool { return p == q })
	return nil, nil
}

type xmlProvider struct {
	ARN string `xml:"Arn"`
}

type listProvidersResult struct {
	OpenIDConnectProviderList *list[xmlProvider]
}

func listProviders(c *call) (any, error) {
	return listProvidersResult{listOf(c.account.providers, func(p *oidcProvider) xmlProvider {
		return xmlProvider{p.arn(c.accountID)}
	})}, nil
}
