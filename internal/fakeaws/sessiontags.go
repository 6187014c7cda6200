package fakeaws

import (
	"slices"
	"strings"
)

// origin is what a session carries on to the sessions that it begins in turn.
type origin struct {
	source     string // the source identity
	tags       []tag  // by key
	transitive []string
}

// carried is the origin that the next role of a chain inherits.
func (o origin) carried() origin {
	next := origin{source: o.source, transitive: o.transitive}
	for _, t := range o.tags {
		if o.isTransitive(t.Key) {
			next.tags = append(next.tags, t)
		}
	}
	return next
}

func (o origin) isTransitive(key string) bool {
	return slices.ContainsFunc(o.transitive, func(k string) bool { return strings.EqualFold(k, key) })
}

// origin reads SourceIdentity, Tags and TransitiveTagKeys. What the caller's own
// session carries stays and cannot be changed.
func (c *call) origin() (origin, error) {
	var o origin
	if c.caller.role != nil {
		o = c.caller.origin.carried()
	}
	if err := c.readSource(&o); err != nil {
		return origin{}, err
	}
	tags, err := c.params.tags()
	if err != nil {
		return origin{}, err
	}
	err = o.add(tags, c.params.members("TransitiveTagKeys"))
	return o, err
}

func (c *call) readSource(o *origin) error {
	if !c.params.has("SourceIdentity") {
		return nil
	}
	source := c.params.get("SourceIdentity")
	if err := checkSource(source); err != nil {
		return err
	}
	if o.source != "" && o.source != source {
		return errDenied("User: %s is not authorized to perform: sts:SetSourceIdentity because the source identity of the session cannot be changed", c.caller.arn(c.account.id))
	}
	o.source = source
	return nil
}

// checkSource holds a source identity to its form: 2 to 64 characters of
// [\w+=,.@-], not beginning with aws:.
func checkSource(source string) error {
	if len(source) == 1 {
		return errConstraint("sourceIdentity", "Member must have length greater than or equal to 2")
	}
	return checkName("sourceIdentity", source, 64)
}

// add takes in session tags and the keys of those that are passed on.
func (o *origin) add(tags []tag, transitive []string) error {
	for _, t := range tags {
		if o.isTransitive(t.Key) {
			return errInvalidParameter("One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
		}
	}
	o.tags = slices.Concat(o.tags, tags)
	for _, key := range transitive {
		if !slices.ContainsFunc(o.tags, func(t tag) bool { return strings.EqualFold(t.Key, key) }) {
			return errInvalidParameter("The specified transitive tag key must be included in the requested tags.")
		}
	}
	if len(o.tags) > maxTags {
		return errInvalidParameter("There are too many session tags.")
	}
	o.transitive = slices.Concat(o.transitive, transitive)
	sortTags(o.tags)
	return nil
}

// describe adds what trust policies may ask about a new session.
func (o origin) describe(f facts, session string) {
	f.set("sts:RoleSessionName", session)
	f.set("sts:SourceIdentity", o.source)
	f.set("sts:TransitiveTagKeys", o.transitive...)
	keys := make([]string, len(o.tags))
	for i, t := range o.tags {
		keys[i] = t.Key
		f["aws:requesttag/"+strings.ToLower(t.Key)] = []string{t.Value}
	}
	f.set("aws:TagKeys", keys...)
}

// needs are the actions that a trust policy must allow besides the assuming.
func (o origin) needs() []string {
	var actions []string
	if o.source != "" {
		actions = append(actions, "sts:SetSourceIdentity")
	}
	if len(o.tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	return actions
}
