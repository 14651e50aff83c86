package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

// registryScenarios run where there is a schema registry.
var registryScenarios = []scenario{
	{"registry: register, look up, references, delete", registerSchemas},
	{"registry: errors by their codes", refuseSchemas},
	{"registry: produce and consume with ids", produceWithIDs},
	{"registry: old and new records in one topic", evolve},
}

const (
	user       = `{"type":"record","name":"User","namespace":"shop","fields":[{"name":"id","type":"long"}]}`
	userBroken = `{"type":"record","name":"User","namespace":"shop","fields":[{"name":"id","type":"string"}]}`
	order      = `{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"by","type":"shop.User"}]}`
)

// is says whether the registry refused for this reason.
func is(err error, expected *sr.Error) bool {
	var response *sr.ResponseError
	return errors.As(err, &response) && response.SchemaError() == expected
}

func registry() (*sr.Client, error) {
	return sr.NewClient(sr.URLs("http://" + os.Getenv("REGISTRY")))
}

func registerSchemas(ctx context.Context, _ *kadm.Client) error {
	client, err := registry()
	if err != nil {
		return err
	}
	users, orders := "go-users-"+run, "go-orders-"+run
	created, err := client.CreateSchema(ctx, users, sr.Schema{Schema: user})
	if err != nil {
		return err
	}
	again, err := client.LookupSchema(ctx, users, sr.Schema{Schema: user})
	if err != nil || again.ID != created.ID || again.Version != 1 {
		return fmt.Errorf("looked up %v, created %v: %w", again, created, err)
	}
	references := []sr.SchemaReference{{Name: "shop.User", Subject: users, Version: 1}}
	if _, err := client.CreateSchema(ctx, orders, sr.Schema{Schema: order, References: references}); err != nil {
		return err
	}
	referrers, err := client.SchemaReferences(ctx, users, 1)
	if err != nil || len(referrers) != 1 || referrers[0].Subject != orders {
		return fmt.Errorf("referrers %v: %w", referrers, err)
	}
	if err := client.DeleteSchema(ctx, users, 1, sr.SoftDelete); !is(err, sr.ErrReferenceExists) {
		return fmt.Errorf("a delete of what is referred to: %w", err)
	}
	for _, subject := range []string{orders, users} {
		for _, how := range []sr.DeleteHow{sr.SoftDelete, sr.HardDelete} {
			if versions, err := client.DeleteSubject(ctx, subject, how); err != nil || len(versions) != 1 {
				return fmt.Errorf("deleted %v of %s: %w", versions, subject, err)
			}
		}
	}
	return nil
}

func refuseSchemas(ctx context.Context, _ *kadm.Client) error {
	client, err := registry()
	if err != nil {
		return err
	}
	subject := "go-refused-" + run
	if _, err := client.CreateSchema(ctx, subject, sr.Schema{Schema: user}); err != nil {
		return err
	}
	_, missing := client.SchemaByID(ctx, 1<<31-1)
	_, nobody := client.SubjectVersions(ctx, "go-nobody-"+run)
	_, version := client.SchemaByVersion(ctx, subject, 7)
	_, broken := client.CreateSchema(ctx, subject, sr.Schema{Schema: userBroken})
	_, invalid := client.CreateSchema(ctx, subject, sr.Schema{Schema: `{"type":"x"}`})
	for _, check := range []struct {
		found    error
		expected *sr.Error
	}{
		{missing, sr.ErrSchemaNotFound},
		{nobody, sr.ErrSubjectNotFound},
		{version, sr.ErrVersionNotFound},
		{broken, sr.ErrIncompatibleSchema},
		{invalid, sr.ErrInvalidSchema},
	} {
		if !is(check.found, check.expected) {
			return fmt.Errorf("%v, not %v", check.found, check.expected)
		}
	}
	verdict, err := client.CheckCompatibility(sr.WithParams(ctx, sr.Verbose), subject, -1, sr.Schema{Schema: userBroken})
	if err != nil || verdict.Is || len(verdict.Messages) == 0 {
		return fmt.Errorf("verdict %v: %w", verdict, err)
	}
	return nil
}

func produceWithIDs(ctx context.Context, _ *kadm.Client) error {
	type record struct {
		ID int `json:"id"`
	}
	client, err := registry()
	if err != nil {
		return err
	}
	topic := "go-registry-" + run
	schema := sr.Schema{Type: sr.TypeJSON, Schema: `{"type":"object","properties":{"id":{"type":"integer"}}}`}
	created, err := client.CreateSchema(ctx, topic+"-value", schema)
	if err != nil {
		return err
	}
	var serde sr.Serde
	serde.Register(created.ID, record{}, sr.EncodeFn(json.Marshal), sr.DecodeFn(json.Unmarshal))
	kafka, err := connect(kgo.ConsumeTopics(topic), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer kafka.Close()
	value := serde.MustEncode(record{ID: 7})
	if err := kafka.ProduceSync(ctx, &kgo.Record{Value: value}).FirstErr(); err != nil {
		return err
	}
	found, err := poll(ctx, kafka, 1)
	if err != nil {
		return err
	}
	var read record
	if err := serde.Decode(found[0].Value, &read); err != nil || read.ID != 7 {
		return fmt.Errorf("read %v: %w", read, err)
	}
	id, _, err := serde.DecodeID(found[0].Value)
	if err != nil || id != created.ID {
		return fmt.Errorf("id %d, not %d: %w", id, created.ID, err)
	}
	return nil
}

// poll waits for the first records.
func poll(ctx context.Context, kafka *kgo.Client, count int) ([]*kgo.Record, error) {
	var found []*kgo.Record
	for len(found) < count {
		fetched := kafka.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			return nil, err
		}
		found = append(found, fetched.Records()...)
	}
	return found, nil
}

// evolve writes by two versions of a schema, and reads each record by the type of its id.
func evolve(ctx context.Context, _ *kadm.Client) error {
	type first struct {
		ID int `json:"id"`
	}
	type second struct {
		ID   int    `json:"id"`
		Name string `json:"name"`
	}
	client, err := registry()
	if err != nil {
		return err
	}
	topic := "go-evolution-" + run
	subject := topic + "-value"
	closed := `{"type":"object","properties":{%s},"additionalProperties":false}`
	var serde sr.Serde
	for at, check := range []struct {
		properties string
		value      any
	}{
		{`"id":{"type":"integer"}`, first{}},
		{`"id":{"type":"integer"},"name":{"type":"string"}`, second{}},
	} {
		schema := sr.Schema{Type: sr.TypeJSON, Schema: fmt.Sprintf(closed, check.properties)}
		created, err := client.CreateSchema(ctx, subject, schema)
		if err != nil || created.Version != at+1 {
			return fmt.Errorf("created %v: %w", created, err)
		}
		serde.Register(created.ID, check.value, sr.EncodeFn(json.Marshal), sr.DecodeFn(json.Unmarshal), sr.GenerateFn(func() any {
			if at == 0 {
				return new(first)
			}
			return new(second)
		}))
	}
	narrow := sr.Schema{Type: sr.TypeJSON, Schema: fmt.Sprintf(closed, `"id":{"type":"integer"}`) + " "}
	broken := sr.Schema{Type: sr.TypeJSON, Schema: fmt.Sprintf(closed, `"id":{"type":"string"}`)}
	var refusal *sr.ResponseError
	if _, err := client.CreateSchema(ctx, subject, broken); !errors.As(err, &refusal) || refusal.ErrorCode != 409 ||
		!strings.Contains(refusal.Message, "TYPE_CHANGED") || !strings.Contains(refusal.Message, "#/properties/id") {
		return fmt.Errorf("a change of type: %w", err)
	}
	if known, err := client.LookupSchema(ctx, subject, narrow); err != nil || known.Version != 1 {
		return fmt.Errorf("looked up %v: %w", known, err)
	}
	kafka, err := connect(kgo.ConsumeTopics(topic), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer kafka.Close()
	for _, value := range []any{first{ID: 1}, second{ID: 2, Name: "n"}} {
		record := &kgo.Record{Key: []byte("k"), Value: serde.MustEncode(value)}
		if err := kafka.ProduceSync(ctx, record).FirstErr(); err != nil {
			return err
		}
	}
	found, err := poll(ctx, kafka, 2)
	if err != nil {
		return err
	}
	old, err := serde.DecodeNew(found[0].Value)
	if one, is := old.(*first); err != nil || !is || one.ID != 1 {
		return fmt.Errorf("read %v: %w", old, err)
	}
	later, err := serde.DecodeNew(found[1].Value)
	if one, is := later.(*second); err != nil || !is || *one != (second{2, "n"}) {
		return fmt.Errorf("read %v: %w", later, err)
	}
	return nil
}
