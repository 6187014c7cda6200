package mappings

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/utils/clock"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

// SwitchConfig says which backends are asked, and where that may change.
type SwitchConfig struct {
	// Modes are the backends' names while there is no file. Required.
	Modes []string
	// Path is a file of backend modes (dynamicBackendModePath). Default: none.
	Path string
	// Make makes the chain of the modes, or says why they cannot be. It may put
	// present names in the place of old ones. Required.
	Make func(modes []string) (*Chain, error)
	// Changed is called when other modes take effect, the first ones included.
	// updated is when the file says it was written; zero for what the process
	// began with and where it says nothing. Default: nothing.
	Changed func(modes []string, updated time.Time)
	Log     logr.Logger
	// Clock wakes it up. Default: the real one.
	Clock clock.WithTicker
}

// notStarted stands for the backends before Start.
const notStarted = "to begin with"

// Switch asks the chain of backends that its file names. Other backends take the
// place of the present ones once all of them have been read; a file that cannot
// be read or names what cannot be made changes nothing.
type Switch struct {
	config  SwitchConfig
	current atomic.Pointer[running]
	pending *running
	trouble string // the one that was reported last
}

// running is a chain whose backends are kept up to date until stop.
type running struct {
	modes   []string
	chain   *Chain
	updated time.Time
	stop    context.CancelFunc
}

// NewSwitch returns a switch that has no backends before Start.
func NewSwitch(c SwitchConfig) *Switch {
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
	if c.Changed == nil {
		c.Changed = func([]string, time.Time) {}
	}
	return &Switch{config: c}
}

// Start starts the backends of the file, or of the configuration if there is
// none that can be used, and follows the file until ctx ends.
func (s *Switch) Start(ctx context.Context) error {
	if s.config.Path != "" {
		s.Refresh(ctx)
	}
	if s.current.Load() == nil {
		first, err := s.make(ctx, s.config.Modes)
		if err != nil {
			return err
		}
		s.take(first)
	}
	if s.config.Path != "" {
		go s.follow(ctx)
	}
	return nil
}

func (s *Switch) follow(ctx context.Context) {
	ticker := s.config.Clock.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
			s.Refresh(ctx)
		}
	}
}

// Refresh looks at the file now. It must not overlap with itself or Start.
func (s *Switch) Refresh(ctx context.Context) {
	modes, updated, err := s.wanted()
	if err != nil {
		s.fail(err)
		return
	}
	switch current := s.current.Load(); {
	case s.pending != nil && slices.Equal(modes, s.pending.modes):
	case current != nil && slices.Equal(modes, current.modes):
		s.drop()
		s.trouble = ""
		return
	default:
		s.drop()
		next, err := s.make(ctx, modes)
		if err != nil {
			s.fail(err)
			return
		}
		if current != nil {
			next.updated = updated
		}
		s.pending, s.trouble = next, ""
		s.config.Log.Info("other backends take over once they have been read", "backends", modes)
	}
	if s.current.Load() == nil || s.pending.chain.Ready() == nil {
		next := s.pending
		s.pending = nil
		s.take(next)
	}
}

// wanted are the modes of the file, or those of the configuration if there is
// no file.
func (s *Switch) wanted() (modes []string, updated time.Time, err error) {
	text, err := readFile(s.config.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return slices.Clone(s.config.Modes), updated, nil
	}
	if err == nil && len(bytes.TrimSpace(text)) == 0 {
		err = errors.New("it is empty, as while it is being written")
	}
	if err != nil {
		return nil, updated, err
	}
	return authnconfig.DecodeModes(text)
}

// make makes a chain and starts its backends.
func (s *Switch) make(ctx context.Context, modes []string) (*running, error) {
	asked := slices.Clone(modes)
	chain, err := s.config.Make(slices.Clone(modes))
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	for _, b := range chain.Backends {
		go func() {
			if err := b.Run(ctx); err != nil {
				s.config.Log.Error(err, "a backend ended", "backend", b.Name())
			}
		}()
	}
	return &running{modes: asked, chain: chain, stop: stop}, nil
}

func (s *Switch) take(next *running) {
	if last := s.current.Swap(next); last != nil {
		last.stop()
	}
	var names []string
	for _, b := range next.chain.Backends {
		names = append(names, b.Name())
	}
	s.config.Log.Info("asking these backends, in this order", "backends", names)
	s.config.Changed(names, next.updated)
}

func (s *Switch) drop() {
	if s.pending != nil {
		s.pending.stop()
		s.pending = nil
	}
}

// fail reports a trouble once, and again when it becomes another one.
func (s *Switch) fail(err error) {
	if err.Error() == s.trouble {
		return
	}
	s.trouble = err.Error()
	s.config.Log.Error(err, "the file of backend modes cannot be used; the present backends stay", "file", s.config.Path)
}

// Ready is nil once all backends have been read.
func (s *Switch) Ready() error {
	if r := s.current.Load(); r != nil {
		return r.chain.Ready()
	}
	return unread{notStarted}
}

// Map gives the user of an identity; see Chain.Map.
func (s *Switch) Map(ctx context.Context, id ekstoken.Identity) (authenticationv1.UserInfo, error) {
	if r := s.current.Load(); r != nil {
		return r.chain.Map(ctx, id)
	}
	return authenticationv1.UserInfo{}, unread{notStarted}
}
