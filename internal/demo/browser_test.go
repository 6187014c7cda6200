package demo_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// screenshots is where the pages are put to be looked at; git ignores it.
const screenshots = "../../bin/screenshots"

// pageTime is how long a page may take.
const pageTime = 30 * time.Second

// newBrowser starts a Chromium with a profile of its own.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	path := findChromium()
	if path == "" {
		t.Skip("SKIPPED: THE PAGES WERE NOT TRIED IN A BROWSER, because there is no Chromium: install the package chromium")
	}
	if err := os.MkdirAll(screenshots, 0o755); err != nil {
		t.Fatal(err)
	}
	allocator, endAllocator := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()),
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true),
	)
	complaints := &complaints{}
	ctx, endBrowser := chromedp.NewContext(allocator, chromedp.WithErrorf(t.Logf), chromedp.WithListener(complaints.hear))
	t.Cleanup(func() {
		endBrowser()
		endAllocator()
		for _, text := range complaints.all() {
			t.Errorf("the browser complains: %s", text)
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	return &browser{t: t, tab: ctx}
}

func findChromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// complaints are what a browser logs about security: above all what a page's own
// policy forbids it.
type complaints struct {
	mu    sync.Mutex
	texts []string
}

func (c *complaints) hear(event any) {
	added, ok := event.(*log.EventEntryAdded)
	if !ok || added.Entry.Source != log.EntrySourceSecurity && !strings.Contains(added.Entry.Text, "Content Security Policy") {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.texts = append(c.texts, added.Entry.URL+": "+added.Entry.Text)
}

func (c *complaints) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.texts
}

// browser is one tab.
type browser struct {
	t   *testing.T
	tab context.Context //nolint:containedctx // chromedp's context is the tab
}

// another opens a tab beside it.
func (b *browser) another() *browser {
	b.t.Helper()
	tab, end := chromedp.NewContext(b.tab)
	b.t.Cleanup(end)
	if err := chromedp.Do(tab); err != nil {
		b.t.Fatal(err)
	}
	return &browser{t: b.t, tab: tab}
}

// do fails the test if the steps fail or take longer than a page may.
func (b *browser) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.tab, pageTime)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v\n%s", what, err, b.describe())
	}
}

// describe is what a person would see, for a test that failed.
func (b *browser) describe() string {
	ctx, cancel := context.WithTimeout(b.tab, pageTime)
	defer cancel()
	seen, err := chromedp.Run(ctx, chromedp.Evaluate[string](
		"`the page is ${document.title}, at ${location.href}:\n${document.body?.innerText}`"))
	if err != nil {
		return "there is no page: " + err.Error()
	}
	return seen
}

func (b *browser) open(address string) {
	b.t.Helper()
	b.do("opening "+address, chromedp.Navigate(address))
}

// until waits for a condition, in JavaScript, on whatever page comes.
func (b *browser) until(what, condition string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.tab, pageTime)
	defer cancel()
	for {
		holds, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+condition+")"))
		if err == nil && holds { // an error is a page that is just leaving
			return
		}
		select {
		case <-ctx.Done():
			b.t.Fatalf("waited in vain for %s (%v)\n%s", what, err, b.describe())
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// sees waits for a page whose title begins so.
func (b *browser) sees(title string) {
	b.t.Helper()
	b.until("the page "+title, `document.readyState == "complete" && document.title.startsWith(`+quoted(title)+`)`)
}

// has waits until an element's text contains another.
func (b *browser) has(selector, text string) {
	b.t.Helper()
	b.until(selector+" with "+text, `document.querySelector(`+quoted(selector)+`)?.textContent.includes(`+quoted(text)+`)`)
}

// press clicks the button that has the text.
func (b *browser) press(text string) {
	b.t.Helper()
	b.do("pressing "+text, chromedp.Click(`//button[contains(., "`+text+`")]`))
}

func quoted(s string) string { return strconv.Quote(s) }

// ask returns the text that a script comes to, also by a promise.
func (b *browser) ask(script string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.tab, pageTime)
	defer cancel()
	answer, err := chromedp.Run(ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v\n%s", script, err, b.describe())
	}
	return answer
}

// place is where in its history the tab is; 0 is the first page.
func (b *browser) place() int64 {
	b.t.Helper()
	var at int64
	poll(b.t, "the browser's history", func() bool {
		var err error
		at, err = chromedp.Run(b.tab, func(ctx context.Context, t *chromedp.Target) (int64, error) {
			history, err := cdp.Call(ctx, t, page.GetNavigationHistory, cdp.Empty{})
			if err != nil {
				return 0, err
			}
			return history.CurrentIndex, nil
		})
		return err == nil // an error is a page that is just leaving
	})
	return at
}

// photograph writes the page in light and dark, for a phone and for a desk. A page
// must not be wider than its window.
func (b *browser) photograph(name string) {
	b.t.Helper()
	for _, window := range []struct {
		name          string
		width, height int64
	}{{"phone", 390, 844}, {"desk", 1280, 800}} {
		for _, scheme := range []string{"light", "dark"} {
			b.do("preparing "+name, chromedp.EmulateViewport(window.width, window.height), prefer(scheme))
			if b.ask(`String(document.documentElement.scrollWidth > window.innerWidth)`) == "true" {
				b.t.Errorf("%s is wider than a %s", name, window.name)
			}
			ctx, cancel := context.WithTimeout(b.tab, pageTime)
			image, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
			cancel()
			if err == nil {
				err = os.WriteFile(filepath.Join(screenshots, name+"-"+window.name+"-"+scheme+".png"), image, 0o600)
			}
			if err != nil {
				b.t.Fatal(err)
			}
		}
	}
}

// prefer sets the color scheme that the person prefers.
func prefer(scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}
