{{/* What everything of the chart is labeled with besides the labels of deploy/. */}}
{{- define "release-labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The labels of deploy/. A test holds that they are the same. */}}
{{- define "labels" -}}
app: aws-auth-refresher
app.kubernetes.io/component: controller
app.kubernetes.io/name: aws-auth-refresher
{{- end }}

{{- define "all-labels" -}}
{{ include "labels" . }}
{{ include "release-labels" . }}
{{- end }}

{{/* Those of an object that has some of its own, which win. */}}
{{- define "labels-with" -}}
{{ toYaml (merge (dict) .more (include "all-labels" .root | fromYaml)) }}
{{- end }}

{{- define "image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What the schema leaves to sentences of ours: Helm would name another value than the
     wrong one for a name that is not allowed. */}}
{{- define "check-names" -}}
{{- $known := list "account-external-id" "account-role-arn" "adopt" "allow-short-accounts" "allow-unanchored"
      "cluster-name"
      "events-queue-url" "history" "leader-elect" "log-format" "log-level" "max-removals" "refresh-interval"
      "removal-hold" "target" "unproven-removal" }}
{{- $fixed := dict
      "aws-auth-configmap" "the controller may write only the ConfigMap aws-auth; take it out"
      "health-probe-bind-address" "the probes ask port 8081; take it out"
      "kubeconfig" "the controller works in the cluster that it runs in; take it out"
      "metrics-bind-address" "metrics are read from port 8080; take it out"
      "namespace" "aws-auth is in kube-system; take it out"
      "rules-configmap" "the controller may read only the ConfigMap aws-auth-refresher; take it out"
      "webhook-bind-address" "set webhook.enabled: true instead"
      "webhook-cert-dir" "set webhook.certManager.enabled: true instead" }}
{{- range $name := keys (.Values.flags | default dict) | sortAlpha }}
{{- with get $fixed $name }}
{{- fail (printf "flags.%s cannot be set: %s" $name .) }}
{{- end }}
{{- if not (has $name $known) }}
{{- $bare := $name | trimPrefix "-" | trimPrefix "-" | kebabcase }}
{{- fail (printf "flags.%s is not a flag of the controller; write %s" $name (has $bare $known | ternary $bare (printf "one of %s" (join ", " $known)))) }}
{{- end }}
{{- end }}
{{- $ours := list "app" "app.kubernetes.io/name" "app.kubernetes.io/component" }}
{{- $release := list "app.kubernetes.io/instance" "app.kubernetes.io/managed-by" "app.kubernetes.io/version" "helm.sh/chart" }}
{{- range $value, $taken := dict "labels" (concat $ours $release) "podLabels" $ours }}
{{- range $name := keys (get $.Values $value | default dict) | sortAlpha }}
{{- if has $name $taken }}
{{- fail (printf "%s has the label %s, which the chart sets itself; take it out, or choose another name" $value $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The command line, as YAML. A number is written out, not as 1e+06. */}}
{{- define "args" -}}
{{- include "check-names" . }}
{{- $flags := .Values.flags | default dict }}
{{- $target := $flags.target | default "configmap" }}
{{- if and (kindIs "string" $target) (ne (toString $target) "configmap") (not (index $flags "cluster-name")) }}
{{- fail (printf "flags.target %s needs flags.cluster-name, the cluster's name in EKS" $target) }}
{{- end }}
- controller
{{- range $name, $value := $flags }}
{{- range kindIs "slice" $value | ternary $value (list $value) }}
{{- if not (kindIs "invalid" .) }}
{{- $text := kindIs "float64" . | ternary (toJson .) (toString .) }}
- {{ printf "--%s=%s" $name $text | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.webhook.enabled }}
- --webhook-bind-address=:9443
{{- if .Values.webhook.certManager.enabled }}
- --webhook-cert-dir=/etc/webhook
{{- end }}
{{- end }}
{{- end }}
