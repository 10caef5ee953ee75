{{- define "simorgh.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "simorgh.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "simorgh.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "simorgh.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What never changes of an object: selectors are made of these. Takes (dict "root" $ "role" "collect"). */}}
{{- define "simorgh.selector" -}}
app.kubernetes.io/name: {{ include "simorgh.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{- define "simorgh.labels" -}}
{{ include "simorgh.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "simorgh.image" -}}
{{- $values := .root.Values.image -}}
{{ required "image.repository: build deploy/Dockerfile, push it, and name it here" $values.repository }}:{{ .tag | default $values.tag | default .root.Chart.AppVersion }}
{{- end -}}

{{/* Settings that are not empty, as the data of a ConfigMap. */}}
{{- define "simorgh.settings" -}}
{{- $_ := required "settings.SIMORGH_LOG: kafka://host:9092 of your Kafka" .Values.settings.SIMORGH_LOG -}}
{{- range $name, $value := .Values.settings }}
{{- if ne $value "" }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "simorgh.secrets" -}}
{{- range $name := list "SIMORGH_SECRET" "SIMORGH_CLICKHOUSE" "SIMORGH_CLICKHOUSE_READ_URL" }}
{{- $_ := required (printf "secret.values.%s is wanted (or secret.existing)" $name) (get $.Values.secret.values $name) }}
{{- end }}
{{- range $name, $value := .Values.secret.values }}
{{- if ne $value "" }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Of a Secret of the user's own, which changes without the chart. Nothing where Helm does not speak to a cluster. */}}
{{- define "simorgh.secretVersion" -}}
{{- with .Values.secret.existing }}
{{- with lookup "v1" "Secret" $.Release.Namespace . }}
{{- .metadata.resourceVersion }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "simorgh.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "simorgh.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* The only places a role may write to: nothing in them outlives the pod. */}}
{{- define "simorgh.mounts" -}}
- {name: data, mountPath: /var/lib/simorgh}
- {name: tmp, mountPath: /tmp}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "simorgh.volumes" -}}
- {name: data, emptyDir: {}}
- {name: tmp, emptyDir: {}}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
