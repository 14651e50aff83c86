//! What it costs to hold every record of a Kafka client against its contract: librdkafka sends the same
//! records, with an envelope in their headers, to a topic that asks for all of it and to one that asks
//! for nothing, in JSON and in Avro.

use anyhow::{Result, bail};
use tidegate_bench::kafka;
use tidegate_bench::orders::Orders;

use super::{PORT_PARTITIONS, Suites, WARM_UP_S, check_growth, check_log, fresh_run, settle};
use crate::samples::Sample;

const TARGET: &str = "tidegate";

impl Suites<'_> {
    pub(super) fn rules(&mut self) -> Result<()> {
        let bootstrap = self.lab.bootstrap(TARGET)?;
        for form in ["json", "avro"] {
            kafka::create_topic(bootstrap, &open_topic(form), PORT_PARTITIONS, &[])?;
            // What is measured must really be asked.
            for (topic, refused) in [
                (format!("bench.rules-{form}"), true),
                (open_topic(form), false),
            ] {
                if kafka::refuses_nonsense(bootstrap, &topic)? != refused {
                    bail!("topic `{topic}` was to refuse nonsense: {refused}");
                }
            }
        }
        for repetition in 1..=self.effort.repeat {
            for form in ["json", "avro"] {
                let mut turns = [true, false];
                turns.rotate_left(repetition as usize % 2);
                for enforced in turns {
                    let (row, topic) = match enforced {
                        true => (format!("rules-{form}-on"), format!("bench.rules-{form}")),
                        false => (format!("rules-{form}-off"), open_topic(form)),
                    };
                    self.take(Sample::new(&row, TARGET, repetition), |suites, sample| {
                        settle();
                        suites.produce_form(sample, &topic, form)
                    });
                }
            }
        }
        let topics = ["json", "avro"].map(open_topic);
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        kafka::delete_topics(bootstrap, &topics)
    }

    fn produce_form(&self, sample: &mut Sample, topic: &str, form: &str) -> Result<()> {
        let bootstrap = self.lab.bootstrap(TARGET)?;
        let seconds = self.effort.seconds;
        let (run, time) = fresh_run()?;
        let mut produce = self.produce_command(bootstrap, topic, run, &time);
        produce
            .args(["--form", form])
            .args(["--event-type", &format!("com.example.bench.rules.{form}")])
            .args(["--warm-up", &WARM_UP_S.to_string()])
            .args(["--seconds", &seconds.to_string()]);
        let before = kafka::ends(bootstrap, topic)?;
        let outcome = self.outcome(&mut produce, seconds)?;
        sample.take(&outcome);
        if form == "json" {
            return check_log(sample, bootstrap, topic, &before, &Orders::new(run, &time));
        }
        check_growth(sample, bootstrap, topic, &before)?;
        Ok(())
    }
}

fn open_topic(form: &str) -> String {
    format!("bench.rules-{form}-open")
}
