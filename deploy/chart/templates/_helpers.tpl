{{/* What everything of the chart is labeled with besides the labels of deploy/. */}}
{{- define "release-labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
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
