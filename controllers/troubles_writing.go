package controllers

func writingTroubles() []trouble {
	applied := func(reason, what, wayOut string) trouble {
		return trouble{condition: ConditionApplied, reason: reason, what: what, wayOut: wayOut, alert: alertDegraded}
	}
	missing := applied("Missing", "`aws-auth` was deleted. It is made again with our entries only after a minute, so that whoever deleted it can create it with everybody's.",
		"Create it again with what others had in it; `aws-auth-refresher history` has that.")
	full := applied("Full", "`aws-auth` has no room for everybody: a ConfigMap holds 1 MiB.",
		"Let fewer principals match, or take out entries that nobody needs. `leftOut` in the status names who is not let in.")
	full.alert, full.metric = alertLeftOut, metricLeftOut
	nearly := applied(reasonNearlyFull, "`aws-auth` takes more than 80 % of what a ConfigMap holds. Beyond 100 % new principals are left out.",
		"Let fewer principals match, or take out entries that nobody needs.")
	nearly.alert, nearly.metric = "AWSAuthAlmostFull", "aws_auth_bytes / aws_auth_refresher_aws_auth_limit_bytes > 0.8"
	paused := applied(reasonPaused, "There is something to write, and the refresher is paused.", "See `Paused`.")
	paused.alert, paused.announced = alertPaused, "Paused"
	return []trouble{
		applied("Failed", "The API server refused, or did not answer, so not everything is written.",
			"The message has its answer, if there was one. What the controller must be allowed is in deploy/common.yaml. It is tried again."),
		applied("RulesTooSlow", "Matching the rules took so long that it was ended, so nothing is written.",
			"The message names the rules that are slow to match. Write `[^/]*` instead of counted repetitions such as `.{0,1000}`."),
		applied("NotEditable", "What somebody wrote into `aws-auth` cannot be read, so nothing is changed there.",
			"Correct the line that the message names; `aws-auth-refresher lint` lists all mistakes."),
		missing, full, nearly, paused,
		applied("RecordUnusable", "The record of what is ours cannot be read, so nothing is changed.",
			"Put the ConfigMap `aws-auth-refresher-state` back from a backup, run the version that wrote it, or delete it and start the controller once with `--adopt`."),
		applied("RecordTooLarge", "The record of what is ours has no room, so nobody new gets in.",
			"Let fewer principals match, or shorten the rules."),
	}
}

func entryTroubles() []trouble {
	return []trouble{
		{
			condition: ConditionApplied, reason: reasonEntriesFailed, alert: alertDegraded,
			what:   "EKS does not answer, refuses, or does not read access entries, so not everything is as it should be there.",
			wayOut: "The message has its answer. The permissions are in deploy/iam/access-entries.json, the authentication modes in access-entries.md.",
		},
		{
			condition: ConditionApplied, reason: "AccessEntriesFull", alert: alertLeftOut, metric: metricLeftOut,
			what:   "The cluster has as many access entries as it can have, so there is none for some principals.",
			wayOut: "Let fewer principals match, or delete access entries that nobody needs. `leftOut` in the status names who is not let in.",
		},
	}
}

func otherTroubles() []trouble {
	history := func(reason, what, wayOut string) trouble {
		return trouble{condition: ConditionHistoryKept, reason: reason, wayOut: wayOut, alert: alertDegraded, what: what + " People get in all the same."}
	}
	return []trouble{
		{
			condition: ConditionPaused, reason: "Annotation", alert: alertPaused,
			what:   "The rules ConfigMap has the annotation `aws-auth-refresher.io/paused`, so nothing is written.",
			wayOut: "`aws-auth-refresher resume`, or `kubectl -n kube-system annotate configmap aws-auth-refresher aws-auth-refresher.io/paused-`.",
		},
		{
			condition: ConditionPaused, reason: "Remembered", alert: alertPaused,
			what:   "The rules ConfigMap is missing, and had the annotation `aws-auth-refresher.io/paused`, so nothing is written.",
			wayOut: "Put it back without the annotation, or `aws-auth-refresher resume`.",
		},
		history("Unusable", "The history cannot be read, so the versions of `aws-auth` before our writes are not kept.",
			"`kubectl -n kube-system delete configmap aws-auth-refresher-history` begins a new one; or run the version that wrote it."),
		history("TooLarge", "The last version of `aws-auth` alone takes more than the history may.", "Shorten `aws-auth`, or turn the history off with `--history=0`."),
		history("NotText", "`aws-auth` is not UTF-8, so it was not kept.", "Correct the value that the message names."),
		history("Failed", "The history could not be written.", "The message has the API server's answer. What the controller must be allowed is in deploy/common.yaml."),
	}
}
