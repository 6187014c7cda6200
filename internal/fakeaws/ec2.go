package fakeaws

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

const ec2Namespace = "http://ec2.amazonaws.com/doc/2016-11-15/"

func ec2Service(s *Server) *queryService {
	return &queryService{
		server:  s,
		name:    "ec2",
		version: "2016-11-15",
		form:    ec2Form{},
		actions: map[string]action{"DescribeInstances": describeInstances},
	}
}

// ec2Form is the EC2 query protocol's form of answers, which has no Result
// element, and its error codes; see "Error codes for the Amazon EC2 API".
type ec2Form struct{}

func (f ec2Form) answer(w http.ResponseWriter, _ *request, action string, result any) {
	f.write(w, http.StatusOK, wrapped{action + "Response", ec2Namespace, result})
}

type ec2Refusal struct {
	XMLName   xml.Name `xml:"Response"`
	Code      string   `xml:"Errors>Error>Code"`
	Message   string   `xml:"Errors>Error>Message"`
	RequestID string   `xml:"RequestID"`
}

func (f ec2Form) refuse(w http.ResponseWriter, req *request, e *Error) {
	e = f.worded(e)
	f.write(w, e.Status, ec2Refusal{Code: e.Code, Message: e.Message, RequestID: req.id})
}

// worded is a refusal that is common to all services in EC2's words.
func (ec2Form) worded(e *Error) *Error {
	switch e.Code {
	case "InvalidClientTokenId", "SignatureDoesNotMatch":
		return &Error{"AuthFailure", "AWS was not able to validate the provided access credentials", http.StatusUnauthorized}
	case "ExpiredToken":
		return &Error{"RequestExpired", "Request has expired.", http.StatusBadRequest}
	case "AccessDenied":
		return &Error{"UnauthorizedOperation", "You are not authorized to perform this operation.", http.StatusForbidden}
	case "Throttling":
		return &Error{"RequestLimitExceeded", "Request limit exceeded.", http.StatusServiceUnavailable}
	case "ServiceFailure":
		return &Error{"InternalError", "An internal error has occurred", http.StatusInternalServerError}
	case "ServiceUnavailable":
		return &Error{"Unavailable", "The server is overloaded and can't handle the request.", http.StatusServiceUnavailable}
	case "ValidationError":
		return &Error{"InvalidParameterValue", e.Message, http.StatusBadRequest}
	default:
		return e
	}
}

// wrapped puts a result into the element of the action.
type wrapped struct {
	name, namespace string
	result          any
}

// MarshalXML writes the result under the name.
func (x wrapped) MarshalXML(enc *xml.Encoder, _ xml.StartElement) error {
	return enc.EncodeElement(x.result, xml.StartElement{
		Name: xml.Name{Local: x.name},
		Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: x.namespace}},
	})
}

func (ec2Form) write(w http.ResponseWriter, status int, v any) {
	body, err := xml.Marshal(v)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	writeBody(w, status, "text/xml;charset=UTF-8", body)
}

// ec2List is a list as EC2 writes it, present even if empty.
type ec2List[T any] struct {
	Items []T `xml:"item"`
}

type describeInstancesResult struct {
	RequestID    string                  `xml:"requestId"`
	Reservations ec2List[xmlReservation] `xml:"reservationSet"`
	NextToken    string                  `xml:"nextToken,omitempty"`
}

type xmlReservation struct {
	ID        string               `xml:"reservationId"`
	OwnerID   string               `xml:"ownerId"`
	Groups    ec2List[struct{}]    `xml:"groupSet"`
	Instances ec2List[xmlInstance] `xml:"instancesSet"`
}

type xmlInstance struct {
	ID             string `xml:"instanceId"`
	StateCode      int    `xml:"instanceState>code"`
	StateName      string `xml:"instanceState>name"`
	PrivateDNSName string `xml:"privateDnsName"`
	LaunchTime     string `xml:"launchTime"`
}

const (
	stateRunning     = "running"
	stateRunningCode = 16

	minResults = 5
	maxResults = 1000
)

// describeInstances knows the filters instance-id, private-dns-name and
// instance-state-name, without wildcards.
func describeInstances(c *call) (any, error) {
	ids := c.params.numbered("InstanceId")
	if len(ids) > 0 && (c.params.has("MaxResults") || c.params.has("NextToken")) {
		return nil, &Error{
			Code:    "InvalidParameterCombination",
			Message: "The parameter instancesSet cannot be used with the parameter maxResults",
			Status:  http.StatusBadRequest,
		}
	}
	found, err := c.namedInstances(ids)
	if err != nil {
		return nil, err
	}
	filters, err := c.params.filters()
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(i *instance) bool { return !i.passes(filters) })
	size, err := c.params.integer("MaxResults", maxResults, minResults, maxResults)
	if err != nil {
		return nil, err
	}
	token := c.params.get("NextToken")
	last, err := decodeMarker(token)
	if err != nil {
		return nil, &Error{Code: "InvalidNextToken", Message: "The specified NextToken is not valid.", Status: http.StatusBadRequest}
	}
	found, p := cut(found, (*instance).key, position{size: size, marker: token, last: last}, c.effect)
	result := describeInstancesResult{RequestID: c.requestID, NextToken: p.Marker}
	for _, i := range found {
		result.Reservations.Items = append(result.Reservations.Items, c.reservation(i))
	}
	return result, nil
}

func (c *call) reservation(i *instance) xmlReservation {
	return xmlReservation{
		ID: i.reservation, OwnerID: c.accountID,
		Instances: ec2List[xmlInstance]{[]xmlInstance{{
			ID: i.id, StateCode: stateRunningCode, StateName: stateRunning,
			PrivateDNSName: i.privateDNSName, LaunchTime: xmlTime(i.launched),
		}}},
	}
}

// namedInstances gives the instances with these ids, all of which must exist,
// or every instance if there are no ids, in the order of ids.
func (c *call) namedInstances(ids []string) ([]*instance, error) {
	if len(ids) == 0 {
		return slices.Clone(c.account.instances), nil
	}
	var found []*instance
	var missing []string
	ids = slices.Clone(ids)
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		if err := checkInstanceID(id); err != nil {
			return nil, err
		}
		if i, ok := c.account.instance(id); ok {
			found = append(found, i)
		} else {
			missing = append(missing, id)
		}
	}
	switch len(missing) {
	case 0:
		return found, nil
	case 1:
		return nil, errNoSuchInstance("The instance ID '%s' does not exist", missing[0])
	default:
		return nil, errNoSuchInstance("The instance IDs '%s' do not exist", strings.Join(missing, ", "))
	}
}

func errNoSuchInstance(format string, args ...any) error {
	return &Error{Code: "InvalidInstanceID.NotFound", Message: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}
