//! `tidegate`: parses what was typed, runs it, ends with its exit code.

mod cli;
mod config;
mod ui;
mod wire;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return cli::usage(&error),
    };
    let ui = cli.ui();
    match cli.run(&ui) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            ui.failure(&failure);
            ExitCode::from(failure.exit as u8)
        }
    }
}
