//! What each sync costs here: `cargo run --release -p mlsm-store --example sync_costs [FOLDER]`. The same small files are
//! written with ever more of the syncs that the store makes, in turns, so that a busy disk slows all alike.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "tests make files, measure and print")]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const FILES: usize = 40;
const ROUNDS: usize = 5;
const BYTES: usize = 64 * 1024;

fn main() -> std::io::Result<()> {
    let folder = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from).join("mlsm-sync-costs");
    fs::create_dir_all(&folder)?;
    let mut seconds = [Duration::ZERO; 4];
    for _ in 0..ROUNDS {
        for (kind, total) in seconds.iter_mut().enumerate() {
            let begun = Instant::now();
            write(&folder, kind)?;
            *total += begun.elapsed();
            File::open(&folder)?.sync_all()?;
        }
    }
    let each = |total: Duration| total.as_secs_f64() * 1e3 / (FILES * ROUNDS) as f64;
    let [plain, file, folder_too, _] = seconds.map(each);
    println!("{FILES} files of {} KiB, mean of {ROUNDS} rounds, in ms a file", BYTES / 1024);
    println!("write and rename            {plain:.3}");
    println!("  and sync the file         {file:.3}   {:+.3}", file - plain);
    println!("  and its folder            {folder_too:.3}   {:+.3}", folder_too - file);
    println!("one syncfs for all of them  {:.3}   {:+.3}", each(seconds[3]), each(seconds[3]) - plain);
    fs::remove_dir_all(&folder)
}

/// `kind`: 0 nothing is synced, 1 each file, 2 each file and the folder, 3 all at once in the end.
fn write(folder: &Path, kind: usize) -> std::io::Result<()> {
    for i in 0..FILES {
        let (half, whole) = (folder.join("half"), folder.join(format!("{i}")));
        let mut file = File::create(&half)?;
        file.write_all(&[i as u8; BYTES])?;
        if kind == 1 || kind == 2 {
            file.sync_all()?;
        }
        fs::rename(&half, &whole)?;
        if kind == 2 {
            File::open(folder)?.sync_all()?;
        }
    }
    if kind == 3 {
        rustix::fs::syncfs(File::open(folder)?)?;
    }
    Ok(())
}
