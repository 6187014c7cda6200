package demo

import "strings"

// The demo reads aws-auth by looking at its text, and shares no code with what
// it shows.

// itemOf cuts the item of a user out of mapUsers: the lines from its dash to the
// next item or comment. before and after are the rest.
func itemOf(mapUsers, arn string) (before, item, after string) {
	at := 0
	inside := false
	for line := range strings.Lines(mapUsers) {
		switch {
		case strings.TrimRight(line, "\r\n") == "- userarn: "+arn:
			before, inside = mapUsers[:at], true
		case inside && !strings.HasPrefix(line, " "):
			return before, item, mapUsers[at:]
		}
		if inside {
			item += line
		}
		at += len(line)
	}
	if !inside {
		return mapUsers, "", ""
	}
	return before, item, ""
}

func hasItem(mapUsers, arn string) bool {
	_, item, _ := itemOf(mapUsers, arn)
	return item != ""
}

func withoutItems(mapUsers string, arns []string) string {
	for _, arn := range arns {
		before, _, after := itemOf(mapUsers, arn)
		mapUsers = before + after
	}
	return mapUsers
}
