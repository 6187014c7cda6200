package controllers

import (
	"context"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// watchedLister tells of each listing.
type watchedLister struct {
	Lister
	list func()
}

func (w watchedLister) List(ctx context.Context, needs rules.Needs) principals.Listing {
	w.list()
	return w.Lister.List(ctx, needs)
}

// TestMissingSinceItWasSeenToBe: a refresh that began long before aws-auth was
// deleted does not have it made again at once.
func TestMissingSinceItWasSeenToBe(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	in := w.mapUsers()
	lister, slow := w.config.Lister, true
	w.config.Lister = watchedLister{lister, func() {
		if slow {
			w.pass(recreateAfter + time.Second)
			w.delete("aws-auth")
		}
		slow = false
	}}
	w.restart()
	w.refresh()
	w.pass(time.Second)
	w.refresh()
	if _, err := w.admin.Get(t.Context(), "aws-auth", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("whoever deleted it a second ago goes first: %v", err)
	}
	w.pass(recreateAfter)
	w.refresh()
	w.expectMapUsers("a minute later", in[len(person):])
}
