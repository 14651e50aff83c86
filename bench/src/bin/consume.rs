//! Reads a topic from its beginning with several consumers at once, again and again for some
//! seconds, each reading everything. Prints how many records they had.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tidegate_bench::kafka::{self, is_passing};

#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    bootstrap: String,
    #[arg(long)]
    topic: String,
    #[arg(long, default_value_t = 10)]
    consumers: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let ends = kafka::ends(&arguments.bootstrap, &arguments.topic)?;
    let (records, rounds) = (AtomicU64::new(0), AtomicU64::new(0));
    let until = Instant::now() + Duration::from_secs_f64(arguments.seconds);
    std::thread::scope(|scope| -> Result<()> {
        let readers: Vec<_> = (0..arguments.consumers)
            .map(|_| scope.spawn(|| read(&arguments, &ends, until, &records, &rounds)))
            .collect();
        for reader in readers {
            reader.join().expect("no thread panics")?;
        }
        Ok(())
    })?;
    let answer = serde_json::json!({
        "records": records.into_inner(),
        "rounds": rounds.into_inner(),
    });
    println!("{answer}");
    Ok(())
}

fn read(
    arguments: &Arguments,
    ends: &[i64],
    until: Instant,
    records: &AtomicU64,
    rounds: &AtomicU64,
) -> Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &arguments.bootstrap)
        .set("group.id", "bench-replay")
        .set("enable.auto.commit", "false")
        // Ten consumers with librdkafka's 64 MiB of prefetch would measure the machine's memory.
        .set("queued.max.messages.kbytes", "8192")
        .create()?;
    let mut beginning = TopicPartitionList::new();
    for partition in 0..ends.len() as i32 {
        beginning.add_partition_offset(&arguments.topic, partition, Offset::Beginning)?;
    }
    let all = ends.iter().sum::<i64>() as u64;
    while Instant::now() < until {
        consumer.assign(&beginning)?;
        let mut had = 0;
        while had < all && Instant::now() < until {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(_)) => had += 1,
                Some(Err(KafkaError::MessageConsumption(code))) if is_passing(code) => {}
                Some(Err(error)) => return Err(error.into()),
                None => {}
            }
        }
        records.fetch_add(had, Ordering::Relaxed);
        if had == all {
            rounds.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}
