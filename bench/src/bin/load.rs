//! Makes HTTP load on one address and prints the outcome as JSON.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use tidegate_bench::load::{self, Form, Plan};
use tidegate_bench::usage::Watched;

#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long, default_value = "/v1/events")]
    path: String,
    #[arg(long, value_enum, default_value = "binary")]
    form: Form,
    /// Events a request, with `--form batch`.
    #[arg(long, default_value_t = 100)]
    batch: usize,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Requests a second; as many as go without.
    #[arg(long)]
    rate: Option<f64>,
    /// Part of every event's id; another for every run.
    #[arg(long, default_value_t = fastrand::u32(..))]
    run: u32,
    /// When the orders were placed.
    #[arg(long)]
    time: String,
    /// NAME=PID of a process whose use is taken in the window.
    #[arg(long = "watch")]
    watched: Vec<Watched>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let outcome = load::run(&Plan {
        address: arguments.address,
        path: arguments.path,
        form: arguments.form,
        batch: arguments.batch,
        connections: arguments.connections,
        threads: arguments.threads,
        warm_up: Duration::from_secs_f64(arguments.warm_up),
        window: Duration::from_secs_f64(arguments.seconds),
        rate: arguments.rate,
        run: arguments.run,
        time: arguments.time,
        watched: arguments.watched,
    })?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}
