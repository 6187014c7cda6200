package fakeaws

import (
	"encoding/base64"
	"sort"
	"strings"
)

const (
	defaultPage = 100
	maxPage     = 1000
	markerMark  = "v1:"
)

// page is how every listing ends.
type page struct {
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

// list is a list as the query protocol writes it, present even if empty.
type list[T any] struct {
	Members []T `xml:"member"`
}

// paginate cuts out the page that MaxItems and Marker ask for. The items are
// sorted by key, which is unique; the marker is the last key given, so a
// listing goes on correctly when items come and go between its pages.
func paginate[T any](c *call, items []T, key func(T) string) ([]T, page, error) {
	size, err := c.params.integer("MaxItems", defaultPage, 1, maxPage)
	if err != nil {
		return nil, page{}, err
	}
	marker := c.params.get("Marker")
	last, err := decodeMarker(marker)
	if err != nil {
		return nil, page{}, err
	}
	items, p := cut(items, key, position{size: size, marker: marker, last: last}, c.effect)
	return items, p, nil
}

// position is where a page begins and how many items it may have.
type position struct {
	size         int
	marker, last string // as sent and decoded
}

// cut takes a page out of sorted items and puts the effect on it.
func cut[T any](items []T, key func(T) string, at position, effect Effect) ([]T, page) {
	if effect == EmptyListing {
		return nil, page{}
	}
	next := sort.Search(len(items), func(i int) bool { return key(items[i]) > at.last })
	items = items[next:]
	var p page
	if len(items) > at.size {
		items = items[:at.size]
		p.IsTruncated = true
	}
	if n := len(items); n > 0 && (p.IsTruncated || effect == RepeatedMarker) {
		p.Marker = encodeMarker(key(items[n-1]))
	}
	return items, effect.distort(p, at.marker)
}

// distort applies the effects that concern markers.
func (e Effect) distort(p page, asked string) page {
	switch {
	case e == TruncatedWithoutMarker:
		return page{IsTruncated: true}
	case e == RepeatedMarker && asked == "":
		p.IsTruncated = true
	case e == RepeatedMarker:
		return page{IsTruncated: true, Marker: asked}
	}
	return p
}

func encodeMarker(key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(markerMark + key))
}

func decodeMarker(marker string) (string, error) {
	if marker == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(marker)
	key, ok := strings.CutPrefix(string(b), markerMark)
	if err != nil || !ok || key == "" {
		return "", errValidation("Invalid Marker.")
	}
	return key, nil
}
