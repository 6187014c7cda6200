package fakeaws

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// xmlOrJSON answers in XML, or in JSON if the Accept header asks for it.
type xmlOrJSON struct {
	namespace string
	// json tells whether the results of this service are written in JSON, too;
	// refusals are in any case.
	json bool
}

// instant is a time in an answer: ISO 8601 in XML, seconds since 1970 in JSON.
type instant time.Time

// MarshalText writes the form of XML.
func (i instant) MarshalText() ([]byte, error) { return []byte(xmlTime(time.Time(i))), nil }

// MarshalJSON writes the form of JSON.
func (i instant) MarshalJSON() ([]byte, error) {
	return strconv.AppendInt(nil, time.Time(i).Unix(), 10), nil
}

type responseMetadata struct {
	RequestID string `xml:"RequestId" json:"RequestId"`
}

// errorResponse is a refusal; the JSON form has neither name nor namespace.
type errorResponse struct {
	XMLName   xml.Name  `xml:"ErrorResponse" json:"-"`
	Namespace string    `xml:"xmlns,attr,omitempty" json:"-"`
	Error     errorBody `xml:"Error"`
	RequestID string    `xml:"RequestId" json:"RequestId"`
}

type errorBody struct{ Type, Code, Message string }

func (f xmlOrJSON) answer(w http.ResponseWriter, req *request, action string, result any) {
	write, media := f.resultXML, "text/xml"
	if f.json && acceptsJSON(req) {
		write, media = resultJSON, "application/json"
	}
	body, err := write(req, action, result)
	if err != nil {
		f.refuse(w, req, asError(err))
		return
	}
	writeBody(w, http.StatusOK, media, body)
}

func (f xmlOrJSON) resultXML(req *request, action string, result any) ([]byte, error) {
	root := xml.StartElement{
		Name: xml.Name{Local: action + "Response"},
		Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: f.namespace}},
	}
	var b bytes.Buffer
	enc := xml.NewEncoder(&b)
	err := enc.EncodeToken(root)
	if err == nil && result != nil {
		err = enc.EncodeElement(result, xml.StartElement{Name: xml.Name{Local: action + "Result"}})
	}
	if err == nil {
		err = enc.EncodeElement(responseMetadata{req.id}, xml.StartElement{Name: xml.Name{Local: "ResponseMetadata"}})
	}
	if err == nil {
		err = enc.EncodeToken(root.End())
	}
	if err == nil {
		err = enc.Flush()
	}
	return b.Bytes(), err
}

func resultJSON(req *request, action string, result any) ([]byte, error) {
	return json.Marshal(map[string]any{action + "Response": map[string]any{
		action + "Result":  result,
		"ResponseMetadata": responseMetadata{req.id},
	}})
}

func (f xmlOrJSON) refuse(w http.ResponseWriter, req *request, e *Error) {
	response := errorResponse{Namespace: f.namespace, Error: errorBody{e.blame(), e.Code, e.Message}, RequestID: req.id}
	write, media := xml.Marshal, "text/xml"
	if acceptsJSON(req) {
		write, media = json.Marshal, "application/json"
	}
	body, err := write(response)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	writeBody(w, e.Status, media, body)
}

// acceptsJSON tells whether JSON is asked for by name.
func acceptsJSON(req *request) bool {
	for _, header := range req.Header.Values("Accept") {
		for part := range strings.SplitSeq(header, ",") {
			if media, _, err := mime.ParseMediaType(part); err == nil && media == "application/json" {
				return true
			}
		}
	}
	return false
}

func writeBody(w http.ResponseWriter, status int, media string, body []byte) {
	w.Header().Set("Content-Type", media)
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}
