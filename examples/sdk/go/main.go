// Sends events to tidegate with the CloudEvents SDK: in binary and in structured mode, as a batch, once more, and a wrong one.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/uuid"
)

const (
	tries       = 8
	timeout     = 10 * time.Second
	longestWait = 30 * time.Second
)

var client = http.Client{Timeout: timeout}

type line struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

type money struct {
	Amount   int    `json:"amount"`
	Currency string `json:"currency"`
}

type order struct {
	ID       string `json:"orderId"`
	Customer string `json:"customer"`
	Lines    []line `json:"lines"`
	Total    *money `json:"total,omitempty"`
}

type receipt struct {
	ID        string `json:"id"`
	Duplicate bool   `json:"duplicate"`
}

// refused is the problem document of an event that was not taken.
type refused struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func (r *refused) Error() string {
	return fmt.Sprintf("%d %s: %s (%s)", r.Status, r.Title, r.Detail, r.Type)
}

// answer is what the gateway says: a receipt, a problem, or one of them for each event of a batch.
type answer struct {
	receipt
	Results []struct {
		Receipt *receipt `json:"receipt"`
		Problem *refused `json:"problem"`
	} `json:"results"`
}

// orderPlaced makes an event. Its id is made once: whoever sends it again sends the same id.
func orderPlaced(of order) (event.Event, error) {
	made := event.New()
	made.SetID(uuid.NewString())
	made.SetSource("/shop/orders")
	made.SetType("com.example.order.placed")
	made.SetTime(time.Now())
	return made, made.SetData(event.ApplicationJSON, of)
}

func address() string {
	if url := os.Getenv("TIDEGATE_URL"); url != "" {
		return url + "/v1/events"
	}
	return "http://127.0.0.1:8080/v1/events"
}

// encoding makes one of the three forms of an HTTP request that carries events.
type encoding func(events []event.Event) (*http.Request, error)

func binary(events []event.Event) (*http.Request, error) {
	return cehttp.NewHTTPRequestFromEvent(binding.WithForceBinary(context.Background()), address(), events[0])
}

func structured(events []event.Event) (*http.Request, error) {
	return cehttp.NewHTTPRequestFromEvent(binding.WithForceStructured(context.Background()), address(), events[0])
}

func batch(events []event.Event) (*http.Request, error) {
	return cehttp.NewHTTPRequestFromEvents(context.Background(), address(), events)
}

// send sends until each event is answered for good. Of a batch that was taken in part only the rest is sent again.
func send(encode encoding, events []event.Event) ([]receipt, error) {
	var receipts []receipt
	for left := tries - 1; ; left-- {
		got, err := try(encode, events)
		receipts = append(receipts, got.receipts...)
		if err == nil || left == 0 || !again(err) {
			return receipts, err
		}
		fmt.Fprintf(os.Stderr, "%v: again in %v\n", err, got.wait)
		time.Sleep(got.wait)
		events = got.rest
	}
}

// again says what may be sent again: 429 and 503, and what got no answer. That may be stored or not, and the same id makes it safe.
// Anything else stays wrong, however often it is sent.
func again(err error) bool {
	var problem *refused
	if !errors.As(err, &problem) {
		return true
	}
	return problem.Status == http.StatusTooManyRequests || problem.Status == http.StatusServiceUnavailable
}

// outcome is what became of the events of one request.
type outcome struct {
	receipts []receipt
	rest     []event.Event
	wait     time.Duration
}

func try(encode encoding, events []event.Event) (outcome, error) {
	got := outcome{rest: events, wait: time.Second}
	request, err := encode(events)
	if err != nil {
		return got, err
	}
	if key := os.Getenv("TIDEGATE_API_KEY"); key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := client.Do(request)
	if err != nil {
		return got, err
	}
	defer response.Body.Close()
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		got.wait = min(time.Duration(seconds)*time.Second, longestWait)
	}
	if response.StatusCode != http.StatusAccepted && response.StatusCode != http.StatusMultiStatus {
		problem := new(refused)
		if err := json.NewDecoder(response.Body).Decode(problem); err != nil {
			return got, err
		}
		return got, problem
	}
	var taken answer
	if err := json.NewDecoder(response.Body).Decode(&taken); err != nil {
		return got, err
	}
	if taken.Results == nil {
		got.receipts = []receipt{taken.receipt}
		return got, nil
	}
	got.rest = nil
	for at, result := range taken.Results {
		if result.Receipt != nil {
			got.receipts = append(got.receipts, *result.Receipt)
			continue
		}
		got.rest = append(got.rest, events[at])
		// One that stays wrong is told before one that may be sent again.
		if err == nil || !again(result.Problem) {
			err = result.Problem
		}
	}
	return got, err
}

func show(what string, encode encoding, events ...event.Event) error {
	receipts, err := send(encode, events)
	for _, got := range receipts {
		how := "accepted"
		if got.Duplicate {
			how = "duplicate"
		}
		fmt.Printf("%s: %s, receipt %s\n", what, how, got.ID)
	}
	return err
}

func run() error {
	lines := []line{{SKU: "tea-250", Quantity: 2}}
	total := &money{Amount: 1580, Currency: "EUR"}
	var events []event.Event
	for _, of := range []order{
		{ID: "o-2001", Customer: "c-17", Lines: lines, Total: total},
		{ID: "o-2002", Customer: "c-42", Lines: lines, Total: total},
		{ID: "o-2003", Customer: "c-17", Lines: lines, Total: total},
		{ID: "o-2004", Customer: "c-17", Lines: lines, Total: total},
		{ID: "o-2005", Customer: "c-42", Lines: lines},
	} {
		made, err := orderPlaced(of)
		if err != nil {
			return err
		}
		events = append(events, made)
	}
	for _, step := range []struct {
		what   string
		encode encoding
		events []event.Event
	}{
		{"binary", binary, events[:1]},
		{"binary again", binary, events[:1]},
		{"structured", structured, events[1:2]},
		{"structured again", structured, events[1:2]},
		{"batch", batch, events[2:4]},
		{"batch again", batch, events[2:4]},
	} {
		if err := show(step.what, step.encode, step.events...); err != nil {
			return err
		}
	}
	err := show("wrong", binary, events[4])
	var problem *refused
	if errors.As(err, &problem) {
		fmt.Printf("wrong: refused, %v\n", problem)
		return nil
	}
	return err
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
