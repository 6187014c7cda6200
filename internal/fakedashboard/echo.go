package fakedashboard

import (
	"net/http"

	"github.com/coder/websocket"
)

// serveEcho greets with the user's name in the cluster, then sends every message
// back, until the client leaves.
func (d *Dashboard) serveEcho(w http.ResponseWriter, r *http.Request) {
	who, refused, err := d.cluster.whoIs(r.Context(), r.Header.Get("Authorization"))
	switch {
	case err != nil:
		http.Error(w, "asking the cluster: "+err.Error(), http.StatusBadGateway)
		return
	case refused != "":
		http.Error(w, refused, http.StatusUnauthorized)
		return
	}
	// A proxy may or may not pass the Host on that the browser named as Origin;
	// it is the one to compare them.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow() //nolint:errcheck // it is over either way
	ctx := r.Context()
	if err := conn.Write(ctx, websocket.MessageText, []byte("hello "+who.Username)); err != nil {
		return
	}
	for {
		kind, message, err := conn.Read(ctx)
		if err != nil {
			return
		}
		if err := conn.Write(ctx, kind, message); err != nil {
			return
		}
	}
}
