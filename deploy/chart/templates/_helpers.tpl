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

{{/* The command line, as YAML. A number is written out, not as 1e+06. */}}
{{- define "args" -}}
{{- $target := .Values.flags.target | default "configmap" }}
{{- if and (kindIs "string" $target) (ne (toString $target) "configmap") (not (index .Values.flags "cluster-name")) }}
{{- fail (printf "flags.target %s needs flags.cluster-name, the cluster's name in EKS" $target) }}
{{- end }}
- controller
{{- range $name, $value := .Values.flags }}
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
