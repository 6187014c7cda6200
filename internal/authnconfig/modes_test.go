package authnconfig

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeModes(t *testing.T) {
	for _, row := range []struct {
		reason, text string
		modes        []string
		updated      time.Time
		refused      string
	}{
		{"as EKS writes it", `{"LastUpdatedDateTime": "1690000000", "Version": "3", "backendMode": "EKSConfigMap DynamicFile"}`,
			[]string{EKSConfigMap, DynamicFile}, time.Unix(1690000000, 0), ""},
		{"without a time", `{"backendMode": " File  CRD "}`, []string{"File", CRD}, time.Time{}, ""},
		{"a time that is none", `{"backendMode": "CRD", "LastUpdatedDateTime": "today"}`, []string{CRD}, time.Time{}, ""},
		{"empty", "", nil, time.Time{}, "it is empty"},
		{"cut off", `{"backendMode"`, nil, time.Time{}, "line"},
		{"another key", `{"backendModes": "CRD"}`, nil, time.Time{}, "unknown key"},
		{"a list", `{"backendMode": ["CRD"]}`, nil, time.Time{}, "a text is expected here"},
	} {
		modes, updated, err := DecodeModes([]byte(row.text))
		if row.refused != "" {
			if err == nil || !strings.Contains(err.Error(), row.refused) {
				t.Errorf("%s: got %v, want %s", row.reason, err, row.refused)
			}
			continue
		}
		if diff := cmp.Diff(row.modes, modes); diff != "" || err != nil || !updated.Equal(row.updated) {
			t.Errorf("%s: %v, %s -want +got\n%s", row.reason, err, updated, diff)
		}
	}
}

func TestDynamicFileTellsWhenItWasWritten(t *testing.T) {
	m, err := DecodeDynamic([]byte(`{"LastUpdatedDateTime": "1690000000", "mapRoles": []}`), false)
	if err != nil || !m.Updated.Equal(time.Unix(1690000000, 0)) {
		t.Errorf("got %s, %v", m.Updated, err)
	}
}

func TestCheckModes(t *testing.T) {
	s := Server{Dynamic: Dynamic{Path: "x"}}
	modes := []string{"ConfigMap", DynamicFile, "File"}
	if err := s.CheckModes(modes); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{EKSConfigMap, DynamicFile, MountedFile}, modes); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	f := Default()
	f.ClusterID, f.Server.Path, f.Server.BackendModePath = "c", "x", "y"
	if err := f.Normalize(); err != nil {
		t.Errorf("a dynamic file that the modes' file may name: %v", err)
	}
}
