//! The floor of the disk: how fast it takes writes that are durable when they return. Prints JSON.
//!
//! Three ways, each over a file that was filled with zeros before: past the page cache with every
//! write synced (`O_DIRECT|O_DSYNC`), the same with four writes in flight, and through the page
//! cache with an `fdatasync` after every write.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use rustix::fs::OFlags;
use serde::Serialize;
use tidegate_bench::outcome::{self, Latency};

const FILE_BYTES: u64 = 64 << 20;
const ALIGNMENT: usize = 4096;

#[derive(Parser)]
struct Arguments {
    /// Where the file is made; gone afterwards.
    #[arg(long)]
    directory: PathBuf,
    /// A way and a size.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
}

#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    direct: bool,
    in_flight: usize,
}

const WAYS: [Way; 3] = [
    Way {
        name: "O_DIRECT|O_DSYNC",
        direct: true,
        in_flight: 1,
    },
    Way {
        name: "O_DIRECT|O_DSYNC, 4 in flight",
        direct: true,
        in_flight: 4,
    },
    Way {
        name: "write, fdatasync",
        direct: false,
        in_flight: 1,
    },
];

#[derive(Serialize)]
struct Floor {
    way: &'static str,
    size_kib: usize,
    writes_per_s: f64,
    mib_per_s: f64,
    latency: Option<Latency>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let path = arguments.directory.join("floor.bin");
    fill(&path).context("cannot make the file")?;
    let mut floors = Vec::new();
    for way in WAYS {
        for size_kib in [4, 16, 64, 256] {
            floors.push(measure(&path, way, size_kib, arguments.seconds)?);
        }
    }
    std::fs::remove_file(&path)?;
    println!("{}", serde_json::to_string(&floors)?);
    Ok(())
}

fn fill(path: &Path) -> Result<()> {
    let mut file = File::create(path)?;
    let zeros = vec![0; 1 << 20];
    for _ in 0..FILE_BYTES >> 20 {
        file.write_all(&zeros)?;
    }
    Ok(file.sync_all()?)
}

fn measure(path: &Path, way: Way, size_kib: usize, seconds: f64) -> Result<Floor> {
    let size = size_kib << 10;
    let mut options = OpenOptions::new();
    options.write(true);
    if way.direct {
        options.custom_flags((OFlags::DIRECT | OFlags::DSYNC).bits() as i32);
    }
    let file = options.open(path)?;
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(seconds);
    let histograms: Vec<_> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..way.in_flight)
            .map(|writer| {
                let file = &file;
                scope.spawn(move || write_until(file, way, size, writer, end))
            })
            .collect();
        writers
            .into_iter()
            .map(|writer| writer.join().expect("no thread panics"))
            .collect::<Result<_>>()
    })?;
    let wall_s = begun.elapsed().as_secs_f64();
    let mut all = outcome::histogram();
    for histogram in &histograms {
        all.add(histogram).expect("the bounds are the same");
    }
    let writes_per_s = all.len() as f64 / wall_s;
    Ok(Floor {
        way: way.name,
        size_kib,
        writes_per_s,
        mib_per_s: writes_per_s * size_kib as f64 / 1024.0,
        latency: Latency::of(&all),
    })
}

fn write_until(
    file: &File,
    way: Way,
    size: usize,
    writer: usize,
    end: Instant,
) -> Result<hdrhistogram::Histogram<u64>> {
    let mut histogram = outcome::histogram();
    let buffer = vec![0x5A; size + ALIGNMENT];
    let aligned = buffer.as_ptr().align_offset(ALIGNMENT);
    let bytes = &buffer[aligned..aligned + size];
    let mut place = writer as u64;
    loop {
        let begun = Instant::now();
        if begun >= end {
            return Ok(histogram);
        }
        file.write_all_at(bytes, place * size as u64 % FILE_BYTES)?;
        if !way.direct {
            file.sync_data()?;
        }
        outcome::record(&mut histogram, begun.elapsed());
        place += way.in_flight as u64;
    }
}
