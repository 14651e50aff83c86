//! The floor of HTTP: a handler that reads the body and answers 204.

use std::net::SocketAddr;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use clap::Parser;
use tokio::net::TcpListener;

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(arguments.listen).await?;
    println!("ready http={}", listener.local_addr()?);
    let router = Router::new().route("/", post(async |_: Bytes| StatusCode::NO_CONTENT));
    axum::serve(listener, router).await?;
    Ok(())
}
