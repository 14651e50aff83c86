package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

// registryScenarios run where there is a schema registry.
var registryScenarios = []scenario{
	{"registry: register, look up, references, delete", registerSchemas},
	{"registry: errors by their codes", refuseSchemas},
	{"registry: produce and consume with ids", produceWithIDs},
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
	for {
		fetched := kafka.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			return err
		}
		for _, found := range fetched.Records() {
			var read record
			if err := serde.Decode(found.Value, &read); err != nil || read.ID != 7 {
				return fmt.Errorf("read %v: %w", read, err)
			}
			id, _, err := serde.DecodeID(found.Value)
			if err != nil || id != created.ID {
				return fmt.Errorf("id %d, not %d: %w", id, created.ID, err)
			}
			return nil
		}
	}
}
